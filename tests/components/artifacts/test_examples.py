"""The files of Examples."""

from components.artifacts.examples import list_shards, shard_name
from components.artifacts.splits import split_dir


def test_a_hundred_thousand_shards_are_listed_in_order(tmp_path):
    folder, number = split_dir(tmp_path, "train"), 100_002
    folder.mkdir()
    for place in range(number):
        (folder / shard_name(place, number)).touch()
    shards = list_shards(tmp_path, ["train"])
    assert [shard.number for shard in shards] == list(range(number))
    assert [shard.path.rpartition("/")[2] for shard in shards[-2:]] == [
        shard_name(n, number) for n in (100_000, 100_001)
    ]
