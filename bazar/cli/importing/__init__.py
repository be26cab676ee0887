"""Lists of books as other programs write them.

`text` finds the encoding, `records` splits into rows, `columns` knows what people call our columns
(`names`), `amounts` reads numbers, `isbns` ISBNs, `markup` takes HTML out of titles, `layout` puts
together what a sample shows, `rows` makes books of rows: all of these are pure. `reading` has them
read a file, `rejects` keeps rows that are refused, `report` says it all. The command is
`bazar/cli/import_books.py`.
"""
