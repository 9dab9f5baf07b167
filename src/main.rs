//! The binary of hubspot-connection-service.

fn main() {}
