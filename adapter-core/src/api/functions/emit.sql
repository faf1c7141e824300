-- Emits an event to the clients in a room, in any of several rooms, or to all.
--
-- data is the event's argument. More arguments are given as args, binary ones as attachments:
-- {"_placeholder": true, "num": 0} in the arguments stands for the first of them, and without
-- other arguments each is an argument of its own.
--
-- Most events are small and simple. The message of these is made here, in one expression of few
-- functions: PostgreSQL prepares each function of each expression again in each transaction, which
-- costs more than most of them do. Setting a search path would cost as much again. So each name and
-- each operator is written with its schema. Texts are compared by their bytes: a column's collation may
-- take different ones for equal, and LIKE fails with such a collation.
CREATE OR REPLACE FUNCTION @schema@.emit(
    event text,
    data jsonb DEFAULT NULL,
    room text DEFAULT '@everyone@',
    namespace text DEFAULT '/',
    rooms text[] DEFAULT '{"@everyone@"}',
    except_rooms text[] DEFAULT '{}',
    args jsonb[] DEFAULT NULL,
    attachments bytea[] DEFAULT NULL,
    volatile boolean DEFAULT NULL,
    compress boolean DEFAULT NULL
)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $@tag@_body$
DECLARE
    payload pg_catalog.text;
BEGIN
    payload := CASE WHEN rooms COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) '{"@everyone@"}'::pg_catalog.text[]
        AND except_rooms OPERATOR(pg_catalog.=) '{}'::pg_catalog.text[] AND args IS NULL AND attachments IS NULL
        AND volatile IS NULL AND compress IS NULL
        -- Neither null nor a room that is named by a number.
        AND pg_catalog.starts_with(room COLLATE pg_catalog."C", '@numbered@') IS FALSE
        AND namespace COLLATE pg_catalog."C" OPERATOR(pg_catalog.~~) '/%'::pg_catalog.text
        AND pg_catalog.octet_length(namespace) OPERATOR(pg_catalog.<=) @longest_namespace@
        AND event COLLATE pg_catalog."C" OPERATOR(pg_catalog.<>) ALL ('{connect,connect_error,disconnect,disconnecting,newListener,removeListener}'::pg_catalog.text[])
        AND pg_catalog.pg_column_size(data) OPERATOR(pg_catalog.<) 8000
        -- That deep may be too deep.
        AND NOT pg_catalog.jsonb_path_exists(data, 'strict $.**{110}'::pg_catalog.jsonpath)
    THEN
        pg_catalog.format(
            '{"type":3,"data":{"packet":{"type":2,"data":[%1$s, %2$s],"nsp":%3$s},"opts":{"rooms":[%4$s],"flags":{},"except":[]}},'
            '"uid":"emitter","nsp":%3$s,"source":"_sio_adapter","nonce":"%5$s"}',
            pg_catalog.to_json(event), data, pg_catalog.to_json(namespace),
            CASE WHEN room COLLATE pg_catalog."C" OPERATOR(pg_catalog.<>) '@everyone@'::pg_catalog.text THEN pg_catalog.to_json(room) END,
            -- Both, as an application can repeat random numbers.
            pg_catalog.hashfloat8extended(
                pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),
                pg_catalog.hashfloat8extended(pg_catalog.random(), 0)
            )
        )
    END;
    IF pg_catalog.octet_length(payload) OPERATOR(pg_catalog.<) @threshold@ THEN
        @publish@
    ELSE
        PERFORM @schema@.internal_emit(
            event, data, room, namespace, rooms, except_rooms, args, attachments, volatile, compress
        );
    END IF;
END $@tag@_body$;
