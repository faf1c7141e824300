#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_pg_fuzz::node::check_json(data));
