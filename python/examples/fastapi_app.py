"""FastAPI and Socket.IO in one application: `uvicorn fastapi_app:app`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio
from fastapi import FastAPI

from socketio_postgres import PostgresManager

database = os.environ.get("DATABASE_URL", "postgres://postgres@localhost/postgres")
manager = PostgresManager(database)
sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi", cors_allowed_origins="*")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    # In the cluster while the application runs. At the end, no other server waits for this one.
    async with manager:
        yield


api = FastAPI(lifespan=lifespan)


@api.post("/announce")
async def announce(text: str) -> dict[str, bool]:
    await sio.emit("announcement", text)
    return {"sent": True}


@api.get("/clients")
async def clients() -> list[str]:
    """The clients of all servers."""
    return [socket.id for socket in await manager.of("/").fetch_sockets()]


@api.get("/health")
async def health() -> dict[str, Any]:
    state = manager.health()
    return {"listening": state.is_listening, "servers": state.servers, "problems": state.problems}


# Requests for /socket.io/ go to Socket.IO, all others and the lifespan to FastAPI.
app = socketio.ASGIApp(sio, other_asgi_app=api)
