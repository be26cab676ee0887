"""Lists of books as other programs write them, understood without I/O of the shop's.

`text` finds the encoding, `records` splits into rows, `columns` knows what people call our columns,
`amounts` reads numbers, `layout` puts together what a sample shows, `rows` makes books of rows, and
`rejects` keeps those that can't be. The command itself is `bazar/commands/import_books.py`.
"""
