//! Why a request to Adobe failed, and what that means for the next step.

use std::{sync::Arc, time::Duration};

use super::{Problem, Refusal, TokenError, answer::presentable::redacted};
use crate::{
    domain::HubSpotCredentials,
    error::{Cause, error_chain},
};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no access token: nothing was sent.
    #[error("no Adobe access token")]
    Token(#[source] Arc<TokenError>),
    /// The circuit breaker is open: nothing was sent.
    #[error("the circuit breaker is open")]
    BreakerOpen {
        /// When it admits the next attempt.
        retry_after: Duration,
    },
    /// The wait for an access token exceeded the deadline: nothing was sent.
    #[error("there was no Adobe access token in time")]
    NoTokenInTime,
    /// The connection was not ready in time: nothing was sent.
    #[error("the request was not sent in time")]
    TooLate,
    /// The process is stopping: nothing was sent.
    #[error("this process is stopping")]
    Stopping,
    /// No connection could be made: nothing was sent.
    #[error("Adobe cannot be reached")]
    Unreachable(#[source] Cause),
    /// The access token is not accepted: nothing was done.
    #[error("Adobe refuses the access token: {problem}")]
    TokenRefused {
        /// What the reply says.
        problem: Problem,
    },
    /// A refusal: nothing was done.
    #[error("Adobe refused the request as {refusal:?}: {problem}")]
    Refused {
        /// Who has to change what.
        refusal: Refusal,
        /// What the reply says.
        problem: Problem,
    },
    /// Too many requests: nothing was done.
    #[error("Adobe throttles")]
    Throttled {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// What the reply says; `None` if an earlier request was throttled and this one was not sent.
        problem: Option<Problem>,
    },
    /// The connection is to another source.
    #[error("the connection is to another source")]
    OtherSource,
    /// There is no usable reply: the request may have been executed.
    #[error("Adobe fails")]
    Unavailable {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// What the reply says, if there was one.
        problem: Option<Box<Problem>>,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// The reply has no known form of Adobe's: the request may have been executed.
    #[error("the reply is not Adobe's: {problem}")]
    Unrecognized {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// What the reply says.
        problem: Box<Problem>,
    },
    /// The reply is a success that cannot be read.
    #[error("the reply cannot be read")]
    Undecodable(#[source] Cause),
}

/// What a failed creation means for its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing was created: retry, after this time if the reply asks for one.
    Retry(Option<Duration>),
    /// Nothing was created: retry once, with a new access token.
    RefreshToken,
    /// Nothing was created, and a retry would fail again.
    GiveUp,
    /// It may have been created: search for it.
    Search,
}

impl CallError {
    /// What the failure means for a creation.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Token(error) if error.may_pass() => NextStep::Retry(error.retry_after),
            Self::Unreachable(_) | Self::TooLate | Self::NoTokenInTime | Self::Stopping => {
                NextStep::Retry(None)
            }
            // One customer's source must not exhaust the retry budget of all calls.
            Self::Throttled { problem: Some(problem), .. } if problem.is_of_source() => NextStep::GiveUp,
            Self::Throttled { retry_after, problem: _ } => NextStep::Retry(*retry_after),
            Self::TokenRefused { .. } => NextStep::RefreshToken,
            Self::Token(_) | Self::BreakerOpen { .. } | Self::Refused { .. } | Self::OtherSource => {
                NextStep::GiveUp
            }
            Self::Unavailable { .. } | Self::Unrecognized { .. } | Self::Undecodable(_) => NextStep::Search,
        }
    }

    /// Whether the request may have been executed.
    pub fn may_have_arrived(&self) -> bool {
        self.next_step() == NextStep::Search
    }

    /// Who has to change what, if the request was refused.
    pub fn refusal(&self) -> Option<Refusal> {
        if let Self::Refused { refusal, .. } = self { Some(*refusal) } else { None }
    }

    /// What the reply says, if there was one.
    pub fn problem(&self) -> Option<&Problem> {
        if let Self::Refused { problem, .. }
        | Self::TokenRefused { problem }
        | Self::Throttled { problem: Some(problem), .. } = self
        {
            return Some(problem);
        }
        let (Self::Unavailable { problem: Some(problem), .. } | Self::Unrecognized { problem, .. }) = self
        else {
            return None;
        };
        Some(problem)
    }

    /// Whether a retry may help, and may use the retry budget of all calls.
    pub fn is_retryable(&self) -> bool {
        if let Self::Unrecognized { problem, .. } = self {
            return problem.may_pass() || problem.replaces_lost_reply();
        }
        let is_refused = matches!(self, Self::Refused { .. } | Self::TokenRefused { .. });
        !is_refused && !self.problem().is_some_and(Problem::is_of_source)
    }

    /// The time to wait before the next attempt, if one may help at once and the reply asks for any; zero if
    /// it does not say.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let (Self::Throttled { retry_after, problem: Some(_) }
        | Self::Unavailable { retry_after, .. }
        | Self::Unrecognized { retry_after, .. }) = self
        else {
            return matches!(self, Self::Unreachable(_)).then_some(Duration::ZERO);
        };
        let is_final = matches!(self, Self::Unrecognized { problem, .. } if !problem.may_pass());
        (!is_final).then(|| retry_after.unwrap_or_default())
    }

    /// The same without these credentials: the reply may repeat those of an earlier request.
    pub fn redacted(&self, credentials: &HubSpotCredentials) -> Self {
        let cause = |cause: &Cause| Cause::from(redacted(&error_chain(&**cause), credentials));
        self.with(|problem| problem.redacted(credentials), cause)
    }

    /// A copy, whose causes are their texts.
    pub fn copy(&self) -> Self {
        self.with(Problem::clone, |cause| Cause::from(error_chain(&**cause)))
    }

    /// A copy with other parts.
    fn with(&self, problem_of: impl Fn(&Problem) -> Problem, cause: impl Fn(&Cause) -> Cause) -> Self {
        match self {
            Self::Token(error) => Self::Token(Arc::clone(error)),
            Self::BreakerOpen { retry_after } => Self::BreakerOpen { retry_after: *retry_after },
            Self::NoTokenInTime => Self::NoTokenInTime,
            Self::TooLate => Self::TooLate,
            Self::Stopping => Self::Stopping,
            Self::Unreachable(error) => Self::Unreachable(cause(error)),
            Self::TokenRefused { problem } => Self::TokenRefused { problem: problem_of(problem) },
            Self::Refused { refusal, problem } => {
                Self::Refused { refusal: *refusal, problem: problem_of(problem) }
            }
            Self::Throttled { retry_after, problem } => {
                Self::Throttled { retry_after: *retry_after, problem: problem.as_ref().map(&problem_of) }
            }
            Self::OtherSource => Self::OtherSource,
            Self::Unavailable { retry_after, problem, cause: error } => Self::Unavailable {
                retry_after: *retry_after,
                problem: problem.as_ref().map(|problem| Box::new(problem_of(problem))),
                cause: cause(error),
            },
            Self::Unrecognized { retry_after, problem } => {
                Self::Unrecognized { retry_after: *retry_after, problem: Box::new(problem_of(problem)) }
            }
            Self::Undecodable(error) => Self::Undecodable(cause(error)),
        }
    }
}
