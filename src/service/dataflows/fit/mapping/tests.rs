use proptest::prelude::*;

use super::*;

fn column(name: &str, kind: &str) -> Column {
    let (kind, format) = kind.split_once('/').unwrap_or((kind, ""));
    Column {
        name: name.to_owned(),
        kind: String::new(),
        xdm_type: kind.to_owned(),
        xdm_format: format.to_owned(),
    }
}

fn field(path: &str, kind: &str) -> SchemaField {
    let (kind, format) = kind.split_once('/').unwrap_or((kind, ""));
    SchemaField { path: XdmPath::parse(path).unwrap(), kind: kind.to_owned(), format: format.to_owned() }
}

fn mapping(source: &str, destination: &str, kind: MappingKind) -> FieldMapping {
    FieldMapping {
        source: MappingSource::parse(source).unwrap(),
        destination: XdmPath::parse(destination).unwrap(),
        kind,
    }
}

fn pairs(mappings: &[FieldMapping]) -> Vec<(&str, &str)> {
    mappings.iter().map(|mapping| (mapping.source.as_str(), mapping.destination.as_str())).collect()
}

#[test]
fn a_column_goes_to_the_path_of_its_name_or_to_the_only_leaf_of_the_tenant() {
    let fields = [
        field("email", "string"),
        field("_acme.email", "string"),
        field("_acme.crm.Score", "number"),
        field("_acme.a.twice", "string"),
        field("_acme.b.twice", "string"),
        field("_other.alone", "string"),
        field("_acme.first_name", "string"),
    ];
    let columns = [
        column("Email", "string"),
        column("score", "integer"),
        column("twice", "string"),
        column("alone", "string"),
        column("first name", "string"),
    ];
    let mappings = by_name(&columns, &fields, "acme");
    let expected = [("Email", "email"), ("score", "_acme.crm.Score"), ("first name", "_acme.first_name")];
    assert_eq!(pairs(&mappings), expected);
    assert_eq!(unmapped(&columns, &mappings), ["twice", "alone"]);
}

#[test]
fn a_field_takes_one_column_and_prefers_the_same_case() {
    let columns = [column("EMAIL", "string"), column("email", "string")];
    let mappings = by_name(&columns, &[field("email", "string")], "acme");
    assert_eq!(pairs(&mappings), [("email", "email")]);
    assert_eq!(unmapped(&columns, &mappings), ["EMAIL"]);
}

#[test]
fn only_compatible_types_are_mapped() {
    for (of_column, of_field, expected) in [
        ("string", "string", true),
        ("integer", "string", true),
        ("string", "string/date-time", false),
        ("string/date-time", "string/date-time", true),
        ("string/date", "string/date-time", true),
        ("integer", "string/date-time", false),
        ("integer", "number", true),
        ("number", "integer", false),
        ("string", "integer", false),
        ("boolean", "boolean", true),
        ("string", "boolean", false),
        ("string", "array", false),
        ("object", "string", false),
        ("", "string", true),
        ("string", "", true),
    ] {
        let mapped = by_name(&[column("a", of_column)], &[field("a", of_field)], "acme");
        assert_eq!(mapped.len() == 1, expected, "{of_column} into {of_field}");
    }
}

#[test]
fn each_wrong_mapping_is_named_with_its_place_and_the_fix() {
    let columns = [column("Email", "string")];
    let fields = [field("person.name.firstName", "string"), field("tags", "array")];
    let wrong = |mapping: FieldMapping| {
        let mut violations = Vec::new();
        check(&[mapping], &columns, &Destinations::Fields(&fields), &mut violations);
        violations.into_iter().map(|violation| (violation.field, violation.sentence)).collect::<Vec<_>>()
    };
    let attribute = MappingKind::Attribute;
    for fine in [
        mapping("Email", "person.name.firstName", attribute),
        mapping("upper(Email)", "person.name.firstName", MappingKind::Expression),
        mapping("none", "tags[0].name", MappingKind::Static),
        mapping("Email", "identityMap.Email[0].id", attribute),
    ] {
        assert_eq!(wrong(fine), []);
    }
    for (mapping, field, part) in [
        (mapping("email", "tags", attribute), "mappings[0].source", "did you mean \"Email\"?"),
        (mapping("Email", "person.name", attribute), "mappings[0].destination", "use person.name.firstName"),
        (
            mapping("Email", "person.name.firstname", attribute),
            "mappings[0].destination",
            "did you mean person.name.firstName?",
        ),
        (mapping("Email", "zip", attribute), "mappings[0].destination", "no field of the schema"),
    ] {
        let [(violated, sentence)] = &wrong(mapping)[..] else { panic!("{field}") };
        assert_eq!(violated, field);
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn of_a_new_schema_only_the_fields_of_the_tenant_are_known() {
    let fields = [field("_acme.Email", "string")];
    let destinations = Destinations::NewSchema { fields: &fields, tenant: "acme" };
    for (path, is_right) in
        [("_acme.Email", true), ("_acme.other", false), ("_id", true), ("person.gender", true)]
    {
        let wrong = wrong_destination(&XdmPath::parse(path).unwrap(), &destinations);
        assert_eq!(wrong.is_none(), is_right, "{path}: {wrong:?}");
    }
}

#[test]
fn an_event_needs_an_id_and_a_time() {
    let id = mapping("Vid", "_id", MappingKind::Attribute);
    let time = mapping("Added_At", "timestamp", MappingKind::Attribute);
    assert_eq!(missing_of_event(&[id.clone(), time]), None);
    let missing = missing_of_event(&[id]).unwrap();
    assert!(missing.sentence.contains("fill timestamp, which"), "{}", missing.sentence);
}

proptest! {
    #[test]
    fn no_column_and_no_field_is_mapped_twice_and_what_is_left_is_reported(
        columns in prop::collection::hash_set("[aAbB_ ]{1,2}", 0..8),
        fields in prop::collection::hash_set("(_acme\\.)?([ab]\\.)?[aAbB]{1,2}", 0..8),
    ) {
        let columns: Vec<_> = columns.iter().filter(|name| !name.trim().is_empty())
            .map(|name| column(name, "string")).collect();
        let fields: Vec<_> = fields.iter().map(|path| field(path, "string")).collect();
        let mappings = by_name(&columns, &fields, "acme");
        let sources: HashSet<_> = mappings.iter().map(|mapping| mapping.source.as_str()).collect();
        let destinations: HashSet<_> = mappings.iter().map(|mapping| mapping.destination.as_str()).collect();
        prop_assert_eq!(sources.len(), mappings.len());
        prop_assert_eq!(destinations.len(), mappings.len());
        prop_assert!(destinations.iter().all(|path| fields.iter().any(|field| field.path.as_str() == *path)));
        prop_assert_eq!(unmapped(&columns, &mappings).len() + mappings.len(), columns.len());
        let mut violations = Vec::new();
        check(&mappings, &columns, &Destinations::Fields(&fields), &mut violations);
        prop_assert_eq!(violations, []);
    }
}
