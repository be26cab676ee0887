"""The statements that read books, each with the name of its topic."""

BOOK = "b.id, b.title, t.name AS topic, b.cost, b.count, b.catalog_id, b.author, b.isbn, b.retired"
BOOKS = f"SELECT {BOOK} FROM books b JOIN topics t ON t.id = b.catalog_id"
AMONG = "IN (SELECT value FROM json_each(?))"
BOOKS_BY_ID = f"{BOOKS} WHERE b.id {AMONG}"
