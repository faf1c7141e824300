import os

import socketio
import uvicorn

from socketio_postgres import PostgresManager

database = os.environ.get("DATABASE_URL", "postgres://postgres@localhost/postgres")
manager = PostgresManager(database)
sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi", cors_allowed_origins="*")


@sio.event
async def connect(sid, environ, auth):
    await sio.enter_room(sid, "chat")


@sio.event
async def message(sid, text):
    # To everyone in the room, whichever server they are on and whatever it is written in.
    await sio.emit("message", text, to="chat")


app = socketio.ASGIApp(sio, on_startup=manager.start, on_shutdown=manager.close)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
