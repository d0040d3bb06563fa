"""What we keep, and all SQL: SQLAlchemy Core over the one description in `tables`, on SQLite and PostgreSQL.

`transaction` opens the database and begins work; every other file is a noun with the questions and changes that
concern it, each taking the transaction first. `log` is the pure part of an append; `releases` writes it and tells
what stands; `pages` reads it for others.
"""
