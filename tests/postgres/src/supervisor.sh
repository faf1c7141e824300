# Owns one private PostgreSQL: its directory, its processes, its end.
#
# Commands arrive on stdin, events leave on stdout. Only the process that started this script holds
# the other end of stdin. End of file means that this process has ended, for whatever reason: then
# stop the server, delete the directory, and end.
#
#   segments MB                           the size of the log's segments, instead of 1; before initdb
#   initdb BIN     -> "initdb STATUS"     STATUS 0 when the cluster is made
#   clone BIN      -> "clone STATUS"      instead of initdb: copies the data of a server that does not
#                                         run; its directory is the next line
#   follow PORT    -> "follow STATUS"     from the next start on a standby of the server at that port
#   start PORT     -> "started PID", and "exited STATUS" once that server has ended
#   signal NAME                           sends a signal to the running server, if there is one
#
# The arguments of the script are passed on to every start of the server.

trap '' INT TERM HUP QUIT PIPE

directory=$(mktemp -d "${TMPDIR:-/tmp}/socketio-pg-XXXXXX" 2>/dev/null || mktemp -d /tmp/socketio-pg-XXXXXX) || exit 1
echo "directory $directory"

segments=1
while read -r command argument; do
    case $command in
        segments)
            segments=$argument
            ;;
        initdb)
            bin=$argument
            "$bin/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --no-sync --wal-segsize="$segments" \
                >"$directory/log" 2>&1 </dev/null &&
                printf 'host %s all %s\n' 'all postgres' trust 'replication postgres' trust 'all all' scram-sha-256 \
                    >"$directory/data/pg_hba.conf"
            echo "initdb $?"
            ;;
        clone)
            # Each on a line of its own: a path may contain blanks.
            bin=$argument
            read -r source
            cp -Rp "$source" "$directory/data" >"$directory/log" 2>&1
            echo "clone $?"
            ;;
        follow)
            echo "primary_conninfo = 'host=127.0.0.1 port=$argument user=postgres'" >>"$directory/data/postgresql.auto.conf" &&
                : >"$directory/data/standby.signal"
            echo "follow $?"
            ;;
        start)
            rm -f "$directory/pid" "$directory/ended"
            {
                "$bin/postgres" -D "$directory/data" -p "$argument" "$@" >>"$directory/log" 2>&1 </dev/null &
                echo $! >"$directory/pid"
                echo "started $!"
                wait $!
                status=$?
                mv "$directory/pid" "$directory/ended"
                echo "exited $status"
            } &
            # From here on a signal, or the end of this script, knows which process to stop.
            until [ -s "$directory/pid" ] || [ -e "$directory/ended" ]; do sleep 0.01; done
            ;;
        signal)
            [ -s "$directory/pid" ] && kill -s "$argument" "$(cat "$directory/pid")" 2>/dev/null
            ;;
    esac
done

# SIGQUIT: an immediate shutdown, which ends even backends that hang.
[ -s "$directory/pid" ] && kill -s QUIT "$(cat "$directory/pid")"
wait
# A killed server could not give its System V shared memory back.
segment=$(sed -n '7s/.* //p' "$directory/data/postmaster.pid" 2>/dev/null)
[ -n "$segment" ] && ipcrm -m "$segment" 2>/dev/null
# Backends of a killed server may still be writing for a moment.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$directory" 2>/dev/null && break
    sleep 0.2
done
