//! `error_reason.proto`: the reasons as constants.

use std::collections::BTreeSet;

use hubspot_connection_service::proto;
use prost_reflect::{DescriptorPool, EnumDescriptor};

use crate::readme::names::GRPC_CODES;

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap()
}

/// Each value of an enum but the unspecified one, with its comment on one line.
pub(crate) fn comments(reasons: &EnumDescriptor) -> Vec<(String, String)> {
    let file = reasons.parent_file_descriptor_proto();
    let source = file.source_code_info.as_ref().unwrap();
    let named = reasons.values().filter(|value| value.number() != 0);
    named
        .map(|value| {
            let location = source.location.iter().find(|location| location.path == value.path()).unwrap();
            let comment = location.leading_comments.as_deref().unwrap_or_default();
            (value.name().to_owned(), comment.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The gRPC codes that the comment of a reason starts with: `Code: ABORTED.`
pub(crate) fn codes(comment: &str) -> BTreeSet<&str> {
    let sentence = comment.strip_prefix("Code: ").and_then(|rest| rest.split('.').next()).unwrap_or_default();
    let words = sentence.split([' ', ',']);
    words.filter(|word| GRPC_CODES.contains(word)).collect()
}

fn values(reasons: &EnumDescriptor) -> impl Iterator<Item = String> {
    reasons.values().map(|value| value.name().to_owned())
}

#[test]
fn every_reason_has_a_comment_about_its_cause_and_what_to_do() {
    let pool = pool();
    for name in ["hubspot_connection.v1.ErrorReason", "hubspot_connection.v1.ViolationReason"] {
        for (reason, comment) in comments(&pool.get_enum_by_name(name).unwrap()) {
            let text = match comment.strip_prefix("Code: ") {
                Some(rest) => rest.split_once('.').unwrap().1,
                None => &comment,
            };
            assert!(text.matches(['.', ':', ';']).count() >= 2, "{reason}: {comment}");
        }
    }
}

#[test]
fn the_comment_of_every_error_reason_starts_with_its_codes() {
    for (reason, comment) in comments(&pool().get_enum_by_name("hubspot_connection.v1.ErrorReason").unwrap())
    {
        assert!(!codes(&comment).is_empty(), "{reason}: {comment}");
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
