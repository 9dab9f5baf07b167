//! Variables that Kubernetes adds to every pod for each Service of its namespace. Those of a Service whose name
//! begins with `hcs` look like settings.

use std::collections::BTreeMap;

use super::Problem;

/// The name of the Service, if Kubernetes adds this variable for one.
pub(super) fn service_of(variable: &str, value: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = if let Some(stem) = variable.strip_suffix("_SERVICE_HOST") {
        stem
    } else if let Some((stem, port)) = variable.rsplit_once("_SERVICE_PORT") {
        let is_one = (port.is_empty() || port.starts_with('_')) && is_number(value);
        is_one.then_some(stem)?
    } else if let Some(stem) = variable.strip_suffix("_PORT").filter(|_| is_endpoint(value)) {
        stem
    } else {
        // As in HCS_PORT_50051_TCP_ADDR.
        let (stem, rest) = variable.rsplit_once("_PORT_")?;
        let (number, rest) = rest.split_once('_')?;
        let is_protocol = ["TCP", "UDP", "SCTP"].iter().any(|protocol| {
            rest.strip_prefix(protocol).is_some_and(|rest| ["", "_PROTO", "_PORT", "_ADDR"].contains(&rest))
        });
        (is_number(number) && is_protocol).then_some(stem)?
    };
    Some(stem.to_ascii_lowercase().replace('_', "-"))
}

fn is_endpoint(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// One problem for each Service: its first variable, and what to do.
pub(super) fn problems<'a>(
    variables: impl Iterator<Item = (&'a str, String)>,
) -> impl Iterator<Item = Problem> {
    let mut by_service = BTreeMap::<String, Vec<&str>>::new();
    for (variable, service) in variables {
        by_service.entry(service).or_default().push(variable);
    }
    by_service.into_iter().filter_map(|(service, variables)| {
        let (first, others) = variables.split_first()?;
        let others = match others.len() {
            0 => String::new(),
            1 => " (and one more variable)".to_owned(),
            count => format!(" (and {count} more variables)"),
        };
        let message = format!(
            "no setting: Kubernetes adds it{others} to each pod for the Service {service}, which is a service link: \
             set enableServiceLinks: false in the pod's spec, or rename the Service so that its name does not begin \
             with hcs"
        );
        Some(Problem::of(*first, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_service_link_is_recognized() {
        for (variable, value) in [
            ("HCS_PORT", "tcp://10.0.0.1:50051"),
            ("HCS_PORT", "udp://10.0.0.1:53"),
            ("HCS_SERVICE_HOST", "10.0.0.1"),
            ("HCS_SERVICE_HOST", "fd00::1"),
            ("HCS_SERVICE_PORT", "50051"),
            ("HCS_SERVICE_PORT_GRPC", "50051"),
            ("HCS_SERVICE_PORT_GRPC_WEB", "8080"),
            ("HCS_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
            ("HCS_PORT_50051_TCP_PROTO", "tcp"),
            ("HCS_PORT_50051_TCP_PORT", "50051"),
            ("HCS_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(service_of(variable, value).as_deref(), Some("hcs"), "{variable}");
            let of_redis = variable.replacen("HCS", "HCS_REDIS", 1);
            assert_eq!(service_of(&of_redis, value).as_deref(), Some("hcs-redis"), "{of_redis}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_no_service_link() {
        for (variable, value) in [
            ("HCS_PORT", "50051"),
            ("HCS_SERVICE_PORT", "tcp"),
            ("HCS_LISTEN_PORT", "50051"),
            ("HCS_PORT_GRPC", "50051"),
            ("HCS_ORGID", "x"),
            ("HCS_SERVICE_PORTS", "1"),
        ] {
            assert_eq!(service_of(variable, value), None, "{variable}");
        }
    }
}
