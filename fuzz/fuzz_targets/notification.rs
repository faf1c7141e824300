#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_pg_fuzz::notification::check(data));
