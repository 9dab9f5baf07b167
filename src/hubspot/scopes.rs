//! The scopes that a token needs for the tables of Adobe's connector.
//!
//! Adobe documents neither the scopes that its connector needs nor all of its tables. So this knows the tables that
//! Adobe's tutorials show, with the scopes that HubSpot documents for the objects in them.

/// A table, and the scopes of which one is enough to read it. The first one is the one to add; the others are older.
type Need = (&'static str, &'static [&'static str]);

const TABLES: [Need; 4] = [
    ("Hubspot.All_Deals", &["crm.objects.deals.read", "contacts"]),
    ("Hubspot.Blog_Authors", &["content"]),
    ("Hubspot.Blog_Comments", &["content"]),
    ("Hubspot.Contacts", &["crm.objects.contacts.read", "contacts"]),
];

/// The scope that every token has, and that reads nothing.
const EVERY_TOKENS: &str = "oauth";

/// Whether some of these scopes may read data.
pub(crate) fn may_read(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope != EVERY_TOKENS)
}

/// The known tables that these scopes certainly do not read, each with the scope to add.
pub(crate) fn missing(scopes: &[String]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_missing = |needed: &[&str]| !scopes.iter().any(|scope| needed.contains(&&**scope));
    let unreadable = TABLES.iter().filter(move |(_, needed)| is_missing(needed));
    unreadable.map(|(table, needed)| (*table, needed[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_of(scopes: &[&str]) -> Vec<&'static str> {
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        missing(&scopes).map(|(table, _)| table).collect()
    }

    #[test]
    fn a_table_needs_one_of_its_scopes() {
        assert_eq!(missing_of(&[]).len(), TABLES.len());
        assert_eq!(missing_of(&["contacts", "content"]), [""; 0]);
        let granular = ["oauth", "crm.objects.contacts.read", "content"];
        assert_eq!(missing_of(&granular), ["Hubspot.All_Deals"]);
        assert_eq!(missing_of(&["crm.objects.contacts.write"]).len(), TABLES.len());
    }

    #[test]
    fn the_scope_of_every_token_reads_nothing() {
        assert!(!may_read(&[]) && !may_read(&["oauth".to_owned()]));
        assert!(may_read(&["oauth".to_owned(), "tickets".to_owned()]));
    }
}
