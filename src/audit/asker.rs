//! Who asks, with all that a record says of it: how that was established, what let them, and in which trace they ask.

use std::fmt;

use sigward_policies::authz::Ruling;
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::caller::Caller;

use crate::store::Context;

/// Somebody who asks for something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Who.
    pub caller: Caller,
    /// How that was established, what decided, and in which trace.
    pub context: Context,
}

impl Asker {
    /// sigward itself.
    pub const SERVICE: Self = Self {
        caller: Caller::Service,
        context: Context::SERVICE,
    };

    /// The user who runs this very process, and does something that no service is asked for.
    pub const fn of_this_process(caller: Caller) -> Self {
        Self {
            caller,
            context: Context {
                authenticated: Some(Authentication::ThisProcess),
                ruling: None,
                trace: None,
            },
        }
    }

    /// The same, about whom this was decided.
    #[must_use]
    pub fn ruled(self, ruling: Ruling) -> Self {
        let context = Context {
            ruling: Some(ruling),
            ..self.context
        };
        Self { context, ..self }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt(f)
    }
}
