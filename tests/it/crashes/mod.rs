//! The process dies at every durability step, and at random moments under load: what was released stays true, what was not may be
//! asked for again, and every act that was cut off is finished by repeating it.

mod acts;
mod audit;
mod backup;
mod dying;
mod init;
mod load;
mod moving;
mod points;
mod seal;

pub(crate) use audit::keep_little;
pub(crate) use dying::{armed, assert_aborted, dies};
