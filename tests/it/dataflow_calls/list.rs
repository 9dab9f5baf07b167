use hubspot_connection_service::proto::ListHubSpotDataflowsRequest as List;
use tonic::Code;

use super::{Flow, Setup};
use crate::support::{Failure, salesforce};

impl Setup {
    async fn list(&mut self, request: List) -> Result<(Vec<String>, String), Failure> {
        let listed = self.client.list_hub_spot_dataflows(request).await.map_err(Failure::from)?.into_inner();
        Ok((listed.dataflows.into_iter().map(|dataflow| dataflow.name).collect(), listed.next_page_token))
    }

    /// The names of all that match, in the order of the pages.
    async fn list_all(&mut self, request: List) -> Vec<String> {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let (page, next) = self.list(List { page_token, ..request.clone() }).await.unwrap();
            names.extend(page);
            if next.is_empty() {
                return names;
            }
            page_token = next;
        }
    }

    async fn count(&mut self, request: List) -> i64 {
        let request = List { count_only: true, ..request };
        let counted = self.client.list_hub_spot_dataflows(request).await.unwrap().into_inner();
        assert!(counted.dataflows.is_empty());
        counted.total_size
    }
}

#[tokio::test]
async fn every_dataflow_is_on_one_page_newest_first_and_none_of_another_source() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    setup.create("first").await;
    Flow::of_salesforce(&setup.service.emulator, &connection, "accounts").await;
    setup.create_elsewhere("second").await;
    Flow::of_salesforce(&setup.service.emulator, &connection, "accounts").await;
    setup.create("third").await;
    let newest_first = ["third", "second", "first"];
    for page_size in [0, 1, 2, 3, 100] {
        let all = setup.list_all(List { page_size, ..List::default() }).await;
        assert_eq!(all, newest_first, "{page_size}");
    }
    assert_eq!(setup.count(List::default()).await, 3);
    let (page, next) = setup.list(List { page_size: 2, ..List::default() }).await.unwrap();
    assert_eq!(page, newest_first[..2]);
    assert!(!next.is_empty());
    // A token belongs to its query.
    for other in [
        List { sandbox_name: "dev".to_owned(), ..List::default() },
        List { name: "first".to_owned(), ..List::default() },
        List { connection_id: setup.connection.clone(), ..List::default() },
    ] {
        let failure = setup.list(List { page_token: next.clone(), ..other }).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert_eq!(failure.violations[0].0, "page_token");
    }
    let dev = List { sandbox_name: "dev".to_owned(), ..List::default() };
    assert!(setup.list_all(dev.clone()).await.is_empty());
    assert_eq!(setup.count(dev).await, 0);
}

#[tokio::test]
async fn dataflows_are_listed_by_their_connection_and_their_name() {
    let mut setup = Setup::new().await;
    let other = setup.service.create().await.unwrap().id;
    let of_salesforce = salesforce(&setup.service.emulator).await;
    setup.create("Contacts").await;
    setup.create("Deals").await;
    Flow::of_hubspot(&setup.service.emulator, &other, "Contacts").await;
    Flow::of_salesforce(&setup.service.emulator, &of_salesforce, "Contacts").await;
    let mine = setup.connection.clone();
    for (connection, name, found) in [
        ("", "Contacts", &["Contacts", "Contacts"][..]),
        (&mine, "", &["Deals", "Contacts"]),
        (&mine, "Contacts", &["Contacts"]),
        (&other, "", &["Contacts"]),
        (&other, "Deals", &[]),
        (&of_salesforce, "", &[]),
        ("", "contacts", &[]),
        ("", "Cont", &[]),
        ("", "a;b~c=d,e\"", &[]),
    ] {
        let filter = List { connection_id: connection.to_owned(), name: name.to_owned(), ..List::default() };
        let each = List { page_size: 1, ..filter.clone() };
        assert_eq!(setup.list_all(each).await, found, "{connection} {name}");
        let number: i64 = found.len().try_into().unwrap();
        assert_eq!(setup.count(filter).await, number, "{connection} {name}");
    }
}
