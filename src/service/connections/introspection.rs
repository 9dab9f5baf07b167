//! What HubSpot says about credentials, as checks. No message has a part of a credential.

use crate::{
    domain::{Check, CheckName, CheckState},
    hubspot::{Answer, ClientAnswer, Introspection, NoAnswer, TokenInfo, TokenKind, scopes},
};

/// A finding: what is known, and if it is bad what to do.
type Finding = (CheckState, String);

/// The four checks, in their order.
pub(super) fn checks(asked: &Introspection) -> Vec<Check> {
    let Introspection { refresh_token, access_token } = asked;
    let (refresh, access) = (info(refresh_token), info(access_token));
    [
        (CheckName::HubspotApp, app(asked)),
        (CheckName::HubspotRefreshToken, token(TokenKind::Refresh, refresh_token, access)),
        (CheckName::HubspotAccessToken, token(TokenKind::Access, access_token, refresh)),
        (CheckName::HubspotScopes, scopes_of(asked)),
    ]
    .map(|(name, (state, message))| Check { name, state, message })
    .into()
}

fn info(answer: &Result<Answer, NoAnswer>) -> Option<&TokenInfo> {
    if let Ok(Answer::Active(info)) = answer { Some(info) } else { None }
}

fn passed(message: impl Into<String>) -> Finding {
    (CheckState::Passed, message.into())
}

fn failed(message: impl Into<String>) -> Finding {
    (CheckState::Failed, message.into())
}

fn skipped(message: impl Into<String>) -> Finding {
    (CheckState::Skipped, message.into())
}

fn not_asked(why: &NoAnswer) -> Finding {
    skipped(format!("not checked: {why}"))
}

fn app(Introspection { refresh_token, access_token }: &Introspection) -> Finding {
    let answers = [refresh_token, access_token];
    let is_acceptance = |answer: &Answer| {
        matches!(answer, Answer::Active(_) | Answer::Inactive { client: ClientAnswer::Accepted, .. })
    };
    let is_accepted = answers.iter().any(|answer| answer.as_ref().is_ok_and(is_acceptance));
    let refused = answers.iter().find_map(|answer| match answer {
        Ok(Answer::ClientRefused { said }) => Some(said),
        Ok(Answer::Active(_) | Answer::Inactive { .. }) | Err(_) => None,
    });
    match (refused, is_accepted) {
        (None, true) => passed("HubSpot accepts the client ID and the client secret"),
        (Some(said), false) => failed(format!(
            "HubSpot refuses the client ID and the client secret{said}: send both as the application shows them in \
             HubSpot's developer account; a secret that was replaced there does not work any more"
        )),
        (Some(_), true) => skipped(
            "not checked: HubSpot accepts the client ID and the client secret in one reply and refuses them in another: \
             try again",
        ),
        (None, false) => match answers.iter().find_map(|answer| answer.as_ref().err()) {
            Some(why) => not_asked(why),
            None => skipped("not checked: HubSpot replies about the tokens alone"),
        },
    }
}

fn token(kind: TokenKind, answer: &Result<Answer, NoAnswer>, other: Option<&TokenInfo>) -> Finding {
    let name = words(kind);
    let info = match answer {
        Ok(Answer::Active(info)) => info,
        Ok(Answer::Inactive { said, .. }) => {
            return match kind {
                TokenKind::Refresh => failed(format!(
                    "HubSpot does not accept the refresh token{said}: it is unknown, of another application, has expired, \
                     was revoked, or the application was uninstalled: install the application in the HubSpot account \
                     again, and send the tokens that this gives"
                )),
                TokenKind::Access => passed(format!(
                    "the access token has expired, was revoked or is unknown{said}: that does not matter, because Adobe \
                     renews it with the refresh token"
                )),
            };
        }
        Ok(Answer::ClientRefused { .. }) => {
            return skipped("not checked: HubSpot refuses the client ID and the client secret");
        }
        Err(why) => return not_asked(why),
    };
    if let Some(other) = info.kind.filter(|is| *is != kind) {
        return failed(format!(
            "credentials.{} has an {}: send each token in its own field",
            kind.name(),
            words(other)
        ));
    }
    if is_of_another_app(kind, info, other) {
        return failed(format!(
            "the {name} is of another HubSpot application than credentials.client_id: send the client ID, the client \
             secret and both tokens of one application"
        ));
    }
    let accounts = info.hub_id.zip(other.and_then(|other| other.hub_id));
    if let Some((own, others)) = accounts.filter(|(own, other)| kind == TokenKind::Access && own != other) {
        return failed(format!(
            "the access token is of the HubSpot account {own}, and the refresh token of {others}: send both tokens of \
             one installation"
        ));
    }
    let account = info.hub_id.map(|id| format!(" of the HubSpot account {id}")).unwrap_or_default();
    passed(format!("HubSpot accepts the {name}{account}"))
}

fn words(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Refresh => "refresh token",
        TokenKind::Access => "access token",
    }
}

/// Whether a token is of another application, by its client ID, or because the other token is of another
/// application and has the client ID. Where neither has it, the access token counts as the wrong one.
fn is_of_another_app(kind: TokenKind, info: &TokenInfo, other: Option<&TokenInfo>) -> bool {
    if let Some(is_of_client) = info.is_of_client {
        return !is_of_client;
    }
    let Some(other) = other else { return false };
    let differs = info.app_id.zip(other.app_id).is_some_and(|(own, other)| own != other);
    match other.is_of_client {
        Some(is_of_client) => is_of_client && differs,
        None => kind == TokenKind::Access && differs,
    }
}

fn scopes_of(asked: &Introspection) -> Finding {
    let answers = [&asked.refresh_token, &asked.access_token];
    let known: Vec<_> = answers.iter().filter_map(|answer| info(answer)?.scopes.as_deref()).collect();
    // The list of one token may be missing although its reply has one.
    let reading = known.iter().find(|scopes| scopes::may_read(scopes));
    let Some(scopes) = reading.or_else(|| known.first()) else {
        let is_refused =
            |answer: &&Result<Answer, NoAnswer>| matches!(answer, Ok(Answer::ClientRefused { .. }));
        let is_active = answers.iter().any(|answer| info(answer).is_some());
        return match answers.iter().find_map(|answer| answer.as_ref().err()) {
            _ if !is_active && answers.iter().any(is_refused) => {
                skipped("not checked: HubSpot refuses the client ID and the client secret")
            }
            Some(why) => not_asked(why),
            None if is_active => {
                skipped("not checked: the replies of HubSpot have no scopes that can be read")
            }
            None => skipped("not checked: HubSpot accepts none of the tokens"),
        };
    };
    const CURE: &str = "add the scopes to the application, have it installed in the HubSpot account again, and send the new tokens";
    let listed = listed(scopes);
    if !scopes::may_read(scopes) {
        return failed(format!("the tokens may read nothing (scopes: {listed}): {CURE}"));
    }
    let missing: Vec<_> =
        scopes::missing(scopes).map(|(table, scope)| format!("{scope} ({table})")).collect();
    if missing.is_empty() {
        return passed(format!("the tokens may read the tables that Adobe documents (scopes: {listed})"));
    }
    passed(format!(
        "the tokens have the scopes {listed}. Missing: {}. Adobe does not document which scopes each table needs: if you \
         need one of these tables, {CURE}",
        missing.join(", ")
    ))
}

/// The first of the scopes.
fn listed(scopes: &[String]) -> String {
    const MOST: usize = 30;
    if scopes.is_empty() {
        return "none".to_owned();
    }
    let rest = scopes.len().saturating_sub(MOST);
    let end = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{end}", scopes[..scopes.len().min(MOST)].join(", "))
}

#[cfg(test)]
mod tests {
    use CheckState::{Failed, Passed, Skipped};

    use super::*;

    fn states(refresh: Result<Answer, NoAnswer>, access: Result<Answer, NoAnswer>) -> [CheckState; 4] {
        let checks = checks(&Introspection { refresh_token: refresh, access_token: access });
        assert!(checks.iter().all(|check| !check.message.is_empty()));
        assert!(
            checks.iter().all(|check| check.state != Failed || check.message.contains(": ")),
            "{checks:?}"
        );
        checks.iter().map(|check| check.state).collect::<Vec<_>>().try_into().unwrap()
    }

    fn active(change: impl FnOnce(&mut TokenInfo)) -> Result<Answer, NoAnswer> {
        let scopes = Some(vec!["crm.objects.contacts.read".to_owned()]);
        let mut info =
            TokenInfo { is_of_client: Some(true), app_id: Some(1), hub_id: Some(2), kind: None, scopes };
        change(&mut info);
        Ok(Answer::Active(info))
    }

    fn refused() -> Result<Answer, NoAnswer> {
        Ok(Answer::ClientRefused { said: String::new() })
    }

    fn inactive(client: ClientAnswer) -> Result<Answer, NoAnswer> {
        Ok(Answer::Inactive { client, said: String::new() })
    }

    #[test]
    fn only_what_is_certain_fails() {
        let good = || active(|_| {});
        for (refresh, access, expected) in [
            (good(), good(), [Passed; 4]),
            (refused(), refused(), [Failed, Skipped, Skipped, Skipped]),
            (refused(), Err(NoAnswer::Busy), [Failed, Skipped, Skipped, Skipped]),
            // A contradiction.
            (refused(), good(), [Skipped, Skipped, Passed, Passed]),
            (Err(NoAnswer::Busy), Err(NoAnswer::Throttled), [Skipped; 4]),
            (Err(NoAnswer::Busy), good(), [Passed, Skipped, Passed, Passed]),
            (inactive(ClientAnswer::Accepted), good(), [Passed, Failed, Passed, Passed]),
            (good(), inactive(ClientAnswer::Accepted), [Passed; 4]),
            (
                inactive(ClientAnswer::Unknown),
                inactive(ClientAnswer::Unknown),
                [Skipped, Failed, Passed, Skipped],
            ),
        ] {
            let what = format!("{refresh:?} {access:?}");
            assert_eq!(states(refresh, access), expected, "{what}");
        }
    }

    #[test]
    fn a_token_of_another_application_or_account_or_kind_fails() {
        let good = || active(|_| {});
        let other = || active(|info| info.is_of_client = Some(false));
        assert_eq!(states(other(), good()), [Passed, Failed, Passed, Passed]);
        assert_eq!(states(good(), other()), [Passed, Passed, Failed, Passed]);
        // Without client IDs the numbers of the applications are compared.
        let without = |app_id| {
            active(move |info| {
                info.is_of_client = None;
                info.app_id = app_id;
            })
        };
        assert_eq!(states(without(Some(1)), without(Some(2))), [Passed, Passed, Failed, Passed]);
        assert_eq!(states(without(Some(2)), good()), [Passed, Failed, Passed, Passed]);
        assert_eq!(states(good(), without(Some(2))), [Passed, Passed, Failed, Passed]);
        assert_eq!(states(without(None), without(Some(2))), [Passed; 4]);
        let elsewhere = active(|info| info.hub_id = Some(3));
        assert_eq!(states(good(), elsewhere), [Passed, Passed, Failed, Passed]);
        assert_eq!(states(good(), active(|info| info.hub_id = None)), [Passed; 4]);
        let swapped = |kind| active(move |info| info.kind = Some(kind));
        assert_eq!(
            states(swapped(TokenKind::Access), swapped(TokenKind::Refresh)),
            [Passed, Failed, Failed, Passed]
        );
    }

    #[test]
    fn scopes_fail_only_where_nothing_can_be_read() {
        let with = |scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            active(|info| info.scopes = Some(scopes))
        };
        let good = || active(|_| {});
        // An empty list of one token says nothing against the list of the other.
        assert_eq!(states(with(&[]), good())[3], Passed);
        assert_eq!(states(good(), with(&["oauth"]))[3], Passed);
        assert_eq!(states(with(&[]), with(&["oauth"]))[3], Failed);
        assert_eq!(states(with(&["oauth"]), Err(NoAnswer::Busy))[3], Failed);
        assert_eq!(states(Err(NoAnswer::Busy), with(&[]))[3], Failed);
        assert_eq!(states(with(&["tickets"]), good())[3], Passed);
        let none = || active(|info| info.scopes = None);
        assert_eq!(states(none(), good())[3], Passed);
        assert_eq!(states(none(), with(&[]))[3], Failed);
        assert_eq!(states(none(), none())[3], Skipped);
    }

    #[test]
    fn scopes_that_are_not_known_have_the_reason() {
        let message = |refresh, access| {
            checks(&Introspection { refresh_token: refresh, access_token: access })[3].message.clone()
        };
        let none = || active(|info| info.scopes = None);
        for (message, words) in [
            (message(refused(), refused()), "refuses the client ID"),
            (message(Err(NoAnswer::Busy), refused()), "refuses the client ID"),
            (
                message(inactive(ClientAnswer::Accepted), inactive(ClientAnswer::Accepted)),
                "none of the tokens",
            ),
            (message(none(), refused()), "no scopes that can be read"),
            (message(none(), Err(NoAnswer::Throttled)), "throttles"),
        ] {
            assert!(message.starts_with("not checked: ") && message.contains(words), "{words}: {message}");
        }
    }
}
