#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hubspot_connection_service::fuzz::run("introspection", bytes));
