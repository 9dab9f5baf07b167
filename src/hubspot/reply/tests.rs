use super::*;

const SECRETS: [&str; 4] =
    ["hs-client-id-0123", "hs-client-secret-4567", "hs-access-token-89ab", "hs-refresh-token-cdef"];

fn credentials() -> HubSpotCredentials {
    HubSpotCredentials::parse(SECRETS).unwrap()
}

fn reading(status: u16, body: &str) -> Result<Answer, NoAnswer> {
    let head = Head { status, content_type: Some("text/x".to_owned()), is_hubspots: false };
    read(&head, body.as_bytes(), &credentials())
}

/// The outcome in one word.
fn word(status: u16, body: &str) -> &'static str {
    match reading(status, body) {
        Ok(Answer::Active(_)) => "active",
        Ok(Answer::Inactive { client: ClientAnswer::Accepted, .. }) => "inactive",
        Ok(Answer::Inactive { client: ClientAnswer::Unknown, .. }) => "unknown token",
        Ok(Answer::ClientRefused { .. }) => "client",
        Err(NoAnswer::Throttled) => "throttled",
        Err(NoAnswer::Fails { .. }) => "fails",
        Err(NoAnswer::Unclear { .. }) => "unclear",
        Err(NoAnswer::Unrecognized { .. }) => "unrecognized",
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn each_reply_means_what_it_says_and_no_more() {
    for (status, body, expected) in [
        (200, r#"{"active":true}"#, "active"),
        (200, r#"{"active":"true"}"#, "active"),
        (200, r#"{"active":false}"#, "inactive"),
        (201, r#"{"active":false,"hub_id":1}"#, "inactive"),
        (200, r#"{"active":null}"#, "unclear"),
        (200, r#"{"active":1}"#, "unclear"),
        (200, r#"{"active":true,"active":false}"#, "unclear"),
        (200, "{}", "unrecognized"),
        (200, r#"{"hub_id":1}"#, "unrecognized"),
        (200, r#"[true]"#, "unrecognized"),
        (200, r#"{"active":true"#, "unrecognized"),
        (200, "", "unrecognized"),
        (200, "<html>active</html>", "unrecognized"),
        (302, "", "unrecognized"),
        (302, r#"{"active":true}"#, "unrecognized"),
        // OAuth's form, as HubSpot's changelog has it.
        (
            400,
            r#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked"}"#,
            "unknown token",
        ),
        (401, r#"{"error":"invalid_client","error_description":"x","correlationId":"c"}"#, "client"),
        (401, r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#, "client"),
        // OAuth's alone may be that of a proxy.
        (401, r#"{"error":"invalid_client","error_description":"x"}"#, "unclear"),
        (400, r#"{"error":"invalid_grant","error_description":"x","status":"error"}"#, "unclear"),
        (401, r#"{"error":"invalid_token","error_description":"x","correlationId":"c"}"#, "unclear"),
        (401, r#"{"error":"expired_token","error_description":"x","correlationId":"c"}"#, "unclear"),
        (403, r#"{"error":"invalid_client"}"#, "unrecognized"),
        (401, r#"{"error":"invalid_token"}"#, "unrecognized"),
        (400, r#"{"status":"BAD_CLIENT_SECRET","message":"missing or invalid client secret"}"#, "client"),
        (400, r#"{"status":"BAD_CLIENT_ID","message":"x","correlationId":"c"}"#, "client"),
        (400, r#"{"error":"invalid_request","error_description":"x"}"#, "unclear"),
        // HubSpot's own form.
        (
            400,
            r#"{"status":"error","message":"client_id and client_secret must be sent in the Authorization header: invalid","correlationId":"c","category":"VALIDATION_ERROR"}"#,
            "unclear",
        ),
        (
            400,
            r#"{"status":"error","message":"Invalid input JSON on line 1","correlationId":"c","category":"VALIDATION_ERROR"}"#,
            "unclear",
        ),
        (
            400,
            r#"{"message":"the token type hint is invalid","correlationId":"c","category":"VALIDATION_ERROR"}"#,
            "unclear",
        ),
        // They may be about the way in which this service authenticates.
        (401, r#"{"message":"x","correlationId":"c","category":"EXPIRED_AUTHENTICATION"}"#, "unclear"),
        (401, r#"{"message":"x","correlationId":"c","category":"INVALID_AUTHENTICATION"}"#, "unclear"),
        (404, r#"{"message":"x","correlationId":"c","category":"OBJECT_NOT_FOUND"}"#, "unclear"),
        (400, r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#, "unclear"),
        (200, r#"{"error":"invalid_client","status":"BAD_CLIENT_ID"}"#, "unrecognized"),
        (302, r#"{"error":"invalid_client","status":"BAD_CLIENT_ID"}"#, "unclear"),
        (500, r#"{"error":"invalid_client","error_description":"x"}"#, "fails"),
        (503, r#"{"message":"x","correlationId":"c"}"#, "fails"),
        (503, "<html>", "unrecognized"),
        (403, r#"{"message":"Forbidden"}"#, "unrecognized"),
        (403, r#"{"error":"forbidden"}"#, "unrecognized"),
        (401, "", "unrecognized"),
        (429, "", "unrecognized"),
        (429, "<html>", "unrecognized"),
        (429, r#"{"error":"slow_down","error_description":"x"}"#, "unrecognized"),
        (429, r#"{"message":"x","correlationId":"c"}"#, "throttled"),
        (
            429,
            r#"{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","policyName":"DAILY"}"#,
            "throttled",
        ),
    ] {
        assert_eq!(word(status, body), expected, "{status} {body}");
    }
}

fn token_of(body: &str) -> TokenInfo {
    match reading(200, body) {
        Ok(Answer::Active(token)) => token,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn the_fields_of_an_active_token_are_read_leniently() {
    let token = token_of(
        r#"{"active":true,"token_use":"refresh_token","client_id":"hs-client-id-0123","app_id":"12","hub_id":"34.0",
            "scopes":["oauth","crm.objects.contacts.read"],"token":"hs-refresh-token-cdef"}"#,
    );
    assert_eq!(
        token,
        TokenInfo {
            is_of_client: Some(true),
            app_id: Some(12),
            hub_id: Some(34),
            kind: Some(TokenKind::Refresh),
            scopes: Some(vec!["oauth".to_owned(), "crm.objects.contacts.read".to_owned()]),
        }
    );
    assert_eq!(
        token_of(r#"{"active":true,"app_id":[],"hub_id":null,"token_use":"x"}"#),
        TokenInfo::default()
    );
    assert_eq!(token_of(r#"{"active":true,"app_id":0,"hub_id":-5}"#), TokenInfo::default());
    assert_eq!(token_of(r#"{"active":true,"client_id":"another"}"#).is_of_client, Some(false));
    assert_eq!(token_of(r#"{"active":true,"client_id":5}"#).is_of_client, None);
}

#[test]
fn scopes_are_a_list_or_words_and_unknown_if_one_cannot_be_read() {
    let scopes = |value: &str| token_of(&format!(r#"{{"active":true,{value}}}"#)).scopes;
    let some = |scopes: &[&str]| Some(scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>());
    assert_eq!(scopes(r#""scopes":[]"#), some(&[]));
    assert_eq!(scopes(r#""scopes":"a b""#), some(&["a", "b"]));
    assert_eq!(scopes(r#""scope":"a b""#), some(&["a", "b"]));
    assert_eq!(scopes(r#""x":1"#), None);
    for unreadable in [
        r#""scopes":["a",1]"#,
        r#""scopes":["a b"]"#,
        r#""scopes":[""]"#,
        r#""scopes":{"a":true}"#,
        r#""scopes":["hs-access-token-89ab"]"#,
        r#""scopes":["CJTa9sKVMBIQAQMAAAAAAEg"]"#,
        r#""scopes":["hs-acce","ss-toke","n-89ab"]"#,
        r#""scope":"oauth hs-acce ss-toke n-89ab""#,
    ] {
        assert_eq!(scopes(unreadable), None, "{unreadable}");
    }
}

#[test]
fn a_text_that_repeats_a_credential_is_shown_without_it() {
    for secret in SECRETS.iter().chain(&["CJTa9sKVMBIQAQMAAAAAAEg"]) {
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"{secret} is wrong","correlationId":"c"}}"#
        );
        let Ok(Answer::ClientRefused { said }) = reading(401, &body) else { panic!("{body}") };
        assert_eq!(said, " ([redacted] is wrong)");
    }
}

#[test]
fn a_throttle_is_also_known_by_hubspots_headers() {
    let head = Head { status: 429, content_type: None, is_hubspots: true };
    assert!(matches!(read(&head, b"", &credentials()), Err(NoAnswer::Throttled)));
}

#[test]
fn a_number_that_repeats_a_credential_is_no_id() {
    let credentials = HubSpotCredentials::parse([SECRETS[0], "12345678", SECRETS[2], SECRETS[3]]).unwrap();
    let head = Head { status: 200, content_type: None, is_hubspots: false };
    for (id, shown) in
        [("12345678", None), ("\"12345678\"", None), ("9123456780", None), ("62515", Some(62_515))]
    {
        let body = format!(r#"{{"active":true,"hub_id":{id},"app_id":{id}}}"#);
        let Ok(Answer::Active(token)) = read(&head, body.as_bytes(), &credentials) else { panic!("{body}") };
        assert_eq!((token.hub_id, token.app_id), (shown, shown), "{id}");
    }
}

#[test]
fn credentials_are_hidden_before_words_that_look_like_one() {
    let secret = "abcdef,CJTa9sKVMBIQAQMAAAAAAEg,uvwxyz";
    let credentials = HubSpotCredentials::parse([SECRETS[0], secret, SECRETS[2], SECRETS[3]]).unwrap();
    let head = Head { status: 401, content_type: None, is_hubspots: false };
    let body = format!(r#"{{"status":"BAD_CLIENT_SECRET","message":"{secret} is wrong"}}"#);
    let Ok(Answer::ClientRefused { said }) = read(&head, body.as_bytes(), &credentials) else {
        panic!("{body}")
    };
    assert_eq!(said, " ([redacted] is wrong)");
}
