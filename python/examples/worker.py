"""A worker emits in its transaction: clients hear of the order if, and only if, it is committed."""

import os
import sys

import psycopg

from socketio_postgres import Emitter

database = os.environ.get("DATABASE_URL", "postgres://postgres@localhost/postgres")


def pay(connection: psycopg.Connection, order: int) -> None:
    with connection.transaction():
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, paid boolean)")
        connection.execute("INSERT INTO orders VALUES (%s, true) ON CONFLICT (id) DO UPDATE SET paid = true", [order])
        Emitter(connection).to("chat").emit("message", f"order {order} is paid")


if __name__ == "__main__":
    with psycopg.connect(database) as connection:
        pay(connection, int(sys.argv[1]) if len(sys.argv) > 1 else 17)
