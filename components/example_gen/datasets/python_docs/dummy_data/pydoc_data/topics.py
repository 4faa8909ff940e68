topics = {
    "while": "The while statement\n*******************\n\nIt repeats as long as an expression is true.\n",
    "if": "The if statement\n****************\n\nIt is used for conditional execution.\n",
}
