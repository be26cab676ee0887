"""Lists of books as other programs write them.

`text` finds the encoding, `records` splits a text into rows, `columns` knows other names of our
columns (`names`), `amounts` decides how numbers are read, `isbns` reads ISBNs, `markup` takes HTML
out of titles, `layout` is what a sample shows of the list, `rows` makes books of rows. All of these
are pure. `reading` reads the file with them, `rejects` keeps refused rows, `report` prints the
result. The command is `bazar/cli/import_books.py`.
"""
