//! A toy resource with the id forms and page styles of Adobe's other services: what a new resource needs is
//! here, and the collection has no part in it.

use serde_json::{Map, Value, json};

use super::*;

/// Like a dataset of Catalog: an id of 24 hexadecimal digits, tags, no `createdAt`.
#[derive(Clone, Debug)]
struct DataSet {
    name: String,
    tag: &'static str,
}

impl Resource for DataSet {
    fn new_id(&self, _tenant: &Tenant) -> String {
        Uuid::new_v4().simple().to_string().split_off(8)
    }

    fn document(record: &Record<Self>) -> Value {
        let DataSet { name, tag } = &record.content;
        json!({"name": name, "tags": {"request": [tag, "other"]}, "meta": {"created": record.created_at_ms}})
    }
}

/// Like a schema of the Schema Registry: the id is a URL under the tenant's namespace.
#[derive(Debug)]
struct Schema(&'static str);

impl Resource for Schema {
    fn new_id(&self, tenant: &Tenant) -> String {
        format!("https://ns.adobe.com/{}/schemas/{}", tenant.sandbox, Uuid::new_v4().simple())
    }

    fn document(record: &Record<Self>) -> Value {
        json!({"$id": record.id, "title": record.content.0, "meta:registryMetadata": {"eTag": record.etag}})
    }
}

const FIELDS: &[Field] = &[("name", EQUAL), ("title", EQUAL), ("tags.request[]", EQUAL)];

fn tenant(sandbox: &str) -> Tenant {
    Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: sandbox.to_owned() }
}

fn data_set(name: &str) -> DataSet {
    DataSet { name: name.to_owned(), tag: "none" }
}

fn data_sets(names: &[&str]) -> Collection<DataSet> {
    let mut collection = Collection::default();
    for name in names {
        collection.create(&tenant("prod"), data_set(name));
    }
    collection
}

fn query(orderby: &str, properties: &[&str]) -> Query {
    Query {
        filters: properties.iter().map(|property| Filter::parse(property, FIELDS).unwrap()).collect(),
        order: Order::parse(orderby, &["name", "title", "createdAt", "meta.created"]).unwrap(),
    }
}

fn names(collection: &Collection<DataSet>, query: &Query) -> Vec<String> {
    let listed = collection.list(&tenant("prod"), query, Duration::ZERO);
    listed.into_iter().map(|record| record.content.name.clone()).collect()
}

#[test]
fn an_offset_and_a_map_need_no_change_in_the_collection() {
    let mut collection = data_sets(&["a", "b", "c"]);
    let tagged = DataSet { tag: "7f0c", ..data_set("d") };
    let id = collection.create(&tenant("prod"), tagged).id.clone();
    assert!(id.len() == 24 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");

    let catalog = |query: &Query, start: usize, limit: usize| -> Map<String, Value> {
        let listed = collection.list(&tenant("prod"), query, Duration::ZERO).into_iter();
        listed.skip(start).take(limit).map(|r| (r.id.clone(), r.document.clone())).collect()
    };
    let tagged = catalog(&query("name", &["tags.request[]==7f0c"]), 0, 20);
    assert_eq!(tagged.keys().collect::<Vec<_>>(), [&id]);
    assert_eq!(tagged[&id]["name"], "d");
    let names = |page: &Map<String, Value>| -> Vec<String> {
        page.values().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(catalog(&query("-meta.created", &[]), 1, 2).len(), 2);
    assert_eq!(names(&catalog(&query("-meta.created", &[]), 3, 2)), ["a"]);
    assert!(catalog(&Query::default(), 4, 2).is_empty());
}

#[test]
fn a_url_as_id_and_a_start_value_need_no_change_in_the_collection() {
    let mut collection = Collection::default();
    for title in ["b", "a", "c"] {
        collection.create(&tenant("prod"), Schema(title));
    }
    let registry = |properties: &[&str], start: &str, limit: usize| {
        let query = query("title", properties);
        let mut listed = collection.list(&tenant("prod"), &query, Duration::ZERO);
        listed.retain(|record| record.content.0 > start);
        let page = query.page(listed, None, limit);
        let results: Vec<_> = page.records.iter().map(|record| record.document["title"].clone()).collect();
        let next = page.next.and_then(|_| page.records.last()).map(|record| record.content.0);
        json!({"results": results, "_page": {"orderby": "title", "next": next, "count": results.len()}})
    };
    let page = |next: Value, results: &[&str]| json!({"results": results, "_page": {"orderby": "title", "next": next, "count": results.len()}});
    assert_eq!(registry(&[], "", 2), page(json!("b"), &["a", "b"]));
    assert_eq!(registry(&[], "b", 2), page(json!(null), &["c"]));
    assert_eq!(registry(&["title==c"], "", 2), page(json!(null), &["c"]));

    let schema = &collection.all()[0];
    assert!(schema.id.starts_with("https://ns.adobe.com/prod/schemas/"), "{}", schema.id);
    assert_eq!(collection.get(&tenant("prod"), &schema.id).unwrap().document["title"], "b");
    assert_eq!(schema.document["meta:registryMetadata"]["eTag"], schema.etag);
}

#[test]
fn an_etag_is_quoted_and_contains_the_second() {
    assert_eq!(etag(0x3600_e378, 0x5f40_212f), "\"3600e378-0000-0200-0000-5f40212f0000\"");
}

#[test]
fn the_newest_comes_first_unless_ordered_otherwise() {
    let collection = data_sets(&["b", "c", "a"]);
    assert_eq!(names(&collection, &Query::default()), ["a", "c", "b"]);
    assert_eq!(names(&collection, &query("name", &[])), ["a", "b", "c"]);
    assert_eq!(names(&collection, &query("-name", &[])), ["c", "b", "a"]);
    assert_eq!(names(&collection, &query("+meta.created", &[])), ["b", "c", "a"]);
}

#[test]
fn filters_narrow_each_other() {
    let collection = data_sets(&["a", "b", "c", "a"]);
    assert_eq!(names(&collection, &query("name", &["name==a"])), ["a", "a"]);
    assert_eq!(names(&collection, &query("name", &["name==a,c"])), ["a", "a", "c"]);
    assert_eq!(names(&collection, &query("name", &["name==a,c", "name==c,b"])), ["c"]);
    assert_eq!(names(&collection, &query("name", &["title==a"])), [""; 0]);
}

#[test]
fn every_record_is_on_one_page_whatever_is_created_between() {
    for orderby in ["-createdAt", "name", "-name", "+meta.created"] {
        let query = query(orderby, &[]);
        let mut collection = data_sets(&["d", "b", "d", "a", "c"]);
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let listed = collection.list(&tenant("prod"), &query, Duration::ZERO);
            let page = query.page(listed, after.as_ref(), 2);
            seen.extend(page.records.iter().map(|record| record.sequence));
            after = page.next;
            if after.is_none() {
                break;
            }
            if collection.all().len() < 8 {
                let id = collection.create(&tenant("prod"), data_set("bb")).id.clone();
                collection.create(&tenant("prod"), data_set("bb"));
                collection.remove(&tenant("prod"), &id);
            }
        }
        let mut first_five: Vec<u64> = seen.iter().copied().filter(|&sequence| sequence <= 5).collect();
        first_five.sort_unstable();
        assert_eq!(first_five, [1, 2, 3, 4, 5], "{orderby}: {seen:?}");
    }
}

#[test]
fn a_full_last_page_has_no_next() {
    let collection = data_sets(&["a", "b"]);
    let has_next = |limit| {
        let query = Query::default();
        query.page(collection.list(&tenant("prod"), &query, Duration::ZERO), None, limit).next.is_some()
    };
    assert_eq!([has_next(1), has_next(2), has_next(3)], [true, false, false]);
}

#[test]
fn every_write_gives_another_etag_and_a_later_time() {
    let mut collection = Collection::default();
    let record = collection.create(&tenant("prod"), data_set("a")).clone();
    let (id, mut etags, mut last) = (record.id, vec![record.etag], record.updated_at_ms);
    for _ in 0..20 {
        let record = collection.replace(&tenant("prod"), &id, data_set("b")).unwrap();
        assert!(record.updated_at_ms > last && record.created_at_ms < record.updated_at_ms);
        assert!(!etags.contains(&record.etag), "{etags:?}");
        etags.push(record.etag.clone());
        last = record.updated_at_ms;
    }
    assert_eq!(names(&collection, &query("name", &["name==b"])), ["b"]);
}

#[test]
fn what_is_removed_is_gone() {
    let mut collection = data_sets(&["a", "b", "c"]);
    let id = collection.all()[1].id.clone();
    assert_eq!(collection.remove(&tenant("prod"), &id).unwrap().content.name, "b");
    assert!(collection.remove(&tenant("prod"), &id).is_none());
    assert!(collection.replace(&tenant("prod"), &id, data_set("d")).is_none());
    assert_eq!(names(&collection, &query("name", &[])), ["a", "c"]);
}

#[test]
fn tenants_do_not_see_one_another() {
    let mut collection = data_sets(&["a"]);
    let id = collection.create(&tenant("dev"), data_set("b")).id.clone();
    assert!(collection.replace(&tenant("prod"), &id, data_set("c")).is_none());
    assert!(collection.remove(&tenant("prod"), &id).is_none());
    assert!(collection.get(&tenant("dev"), &id).is_some());
    assert!(collection.get(&tenant("prod"), &id).is_none());
    assert_eq!(names(&collection, &Query::default()), ["a"]);
    let other_org = Tenant { org: "OTHER@AdobeOrg".to_owned(), sandbox: "prod".to_owned() };
    assert!(collection.list(&other_org, &Query::default(), Duration::ZERO).is_empty());
    assert_eq!(collection.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_index_hides_a_record_from_lists_alone() {
    let lag = Duration::from_secs(30);
    let collection = data_sets(&["a"]);
    let listed = || collection.list(&tenant("prod"), &Query::default(), lag).len();
    assert!(collection.get(&tenant("prod"), &collection.all()[0].id).is_some());
    tokio::time::advance(lag - Duration::from_millis(1)).await;
    assert_eq!(listed(), 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(listed(), 1);
}
