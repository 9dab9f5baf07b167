//! `error_reason.proto`: the reasons as constants.

use std::collections::BTreeSet;

use hubspot_connection_service::proto;
use prost_reflect::{DescriptorPool, EnumDescriptor};

const README: &str = include_str!("../../../README.md");

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap()
}

fn values(reasons: &EnumDescriptor) -> impl Iterator<Item = String> {
    reasons.values().map(|value| value.name().to_owned())
}

#[test]
fn every_reason_has_a_comment_about_its_cause_and_what_to_do() {
    let pool = pool();
    for name in ["hubspot_connection.v1.ErrorReason", "hubspot_connection.v1.ViolationReason"] {
        let reasons = pool.get_enum_by_name(name).unwrap();
        let file = reasons.parent_file_descriptor_proto();
        let source = file.source_code_info.as_ref().unwrap();
        for value in reasons.values().filter(|value| value.number() != 0) {
            let location = source.location.iter().find(|location| location.path == value.path()).unwrap();
            let comment = location.leading_comments.as_deref().unwrap_or_default();
            assert!(comment.matches(['.', ':', ';']).count() >= 2, "{}: {comment}", value.name());
        }
    }
}

#[test]
fn no_reason_has_the_name_of_another_value_of_the_package() {
    let pool = pool();
    let mut names = BTreeSet::new();
    let of_the_package = |reasons: &EnumDescriptor| {
        reasons.package_name() == "hubspot_connection.v1" && reasons.parent_message().is_none()
    };
    for name in
        pool.all_enums().filter(of_the_package).flat_map(|reasons| values(&reasons).collect::<Vec<_>>())
    {
        assert!(names.insert(name.clone()), "{name}");
    }
    assert!(names.contains("OUTCOME_UNKNOWN") && names.contains("VERIFICATION_NONE"), "{names:?}");
}

#[test]
fn every_reason_of_the_readme_is_a_constant() {
    let table = README.split_once("| reason | code |").unwrap().1.split_once("\n\n").unwrap().0;
    let first_columns = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
    let names = first_columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect::<Vec<_>>();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(proto::ErrorReason::from_str_name(name).is_some(), "{name}");
    }
}
