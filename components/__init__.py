"""The pipeline's components, one package each, and the modules that they share.

Others import a component's specification (`<component>.component`), the files of its artifacts (`artifacts`) and the
shared modules, such as `base` and `terminal`. Every component imports `base`. All of them import `models`, and nothing
of `pipeline`.
"""
