//! The body of an introspection, in memory that is wiped.

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::TokenKind;
use crate::domain::HubSpotCredentials;

/// The names and separators of a body are shorter.
const MOST_NAMES: usize = 100;

pub(super) fn form(credentials: &HubSpotCredentials, token: TokenKind) -> Bytes {
    let value = match token {
        TokenKind::Refresh => &credentials.refresh_token,
        TokenKind::Access => &credentials.access_token,
    };
    let fields = [
        ("client_id", credentials.client_id.expose_secret()),
        ("client_secret", credentials.client_secret.expose_secret()),
        ("token", value.expose_secret()),
        ("token_type_hint", token.name()),
    ];
    // It never grows, which would leave a copy: each byte becomes three at most.
    let longest = fields.iter().map(|(_, value)| 3 * value.len()).sum::<usize>() + MOST_NAMES;
    let mut body = Zeroizing::new(Vec::with_capacity(longest));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        byte_serialize(value.as_bytes()).for_each(|part| body.extend_from_slice(part.as_bytes()));
    }
    Bytes::from_owner(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_a_credential_arrives() {
        let all: String = ('!'..='~').collect();
        let values = [format!("1{all}"), format!("2{all}"), format!("3{all}"), format!("4{all}")];
        let credentials = HubSpotCredentials::parse(values.each_ref().map(String::as_str)).unwrap();
        for (token, value, hint) in [
            (TokenKind::Access, &values[2], "access_token"),
            (TokenKind::Refresh, &values[3], "refresh_token"),
        ] {
            let body = form(&credentials, token);
            let fields: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
            let expected = [
                ("client_id", &*values[0]),
                ("client_secret", &values[1]),
                ("token", value),
                ("token_type_hint", hint),
            ];
            assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
    }
}
