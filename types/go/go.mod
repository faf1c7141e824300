module socketio-pg/messages

go 1.19
