//! A collector: what is said to it once, and what it makes of that.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderMap;
use sigward_policies::model::text;
use sigward_proto::otlp::{ExportRequest, ExportResponse};

use super::OtlpError;
use super::grpc::Grpc;
use super::headers;
use super::peer::Peer;
use super::post::Post;
use crate::config::{OtlpConfig, OtlpProtocol};

/// Of what a collector answers, no more is read.
pub(super) const MOST_ANSWER: usize = 64 << 10;
/// Of what it says, no more is told.
const MOST_SAID: usize = 200;

/// Why it has not got something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NotSent {
    /// It may take it later (OTLP, "Failures": retryable).
    Later(String),
    /// It will never take it.
    Never(String),
}

/// A collector.
#[derive(Debug)]
pub(super) struct Collector {
    way: Way,
    headers_file: Option<PathBuf>,
    timeout: Duration,
    /// As the configuration has it.
    pub(super) name: String,
}

#[derive(Debug)]
enum Way {
    Grpc(Grpc),
    Post(Post),
}

impl Collector {
    /// The collector of the configuration. Files that it names must be good; it may be away.
    pub(super) fn new(to: &OtlpConfig) -> Result<Self, OtlpError> {
        let way = match to.protocol {
            OtlpProtocol::Grpc => Way::Grpc(Grpc::new(Peer::of(to, b"h2")?)),
            OtlpProtocol::HttpProtobuf => Way::Post(Post::new(Peer::of(to, b"http/1.1")?)),
        };
        to.headers_file.as_deref().map(headers::read).transpose()?;
        Ok(Self {
            way,
            headers_file: to.headers_file.clone(),
            timeout: to.timeout,
            name: to.endpoint.to_string(),
        })
    }

    /// Brings it `said`, within its time. Says how many spans it did not want, and why.
    pub(super) async fn bring(&mut self, said: &ExportRequest) -> Result<Option<(u64, String)>, NotSent> {
        let headers = self.headers().await?;
        let bringing = async {
            match &mut self.way {
                Way::Grpc(grpc) => grpc.bring(said, headers).await,
                Way::Post(post) => post.bring(said, headers).await,
            }
        };
        match tokio::time::timeout(self.timeout, bringing).await {
            Ok(Ok(answer)) => Ok(unwanted(answer)),
            Ok(Err(not_sent)) => Err(not_sent),
            Err(_elapsed) => Err(NotSent::Later(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// Read each time: whoever replaces a token replaces the file.
    async fn headers(&self) -> Result<HeaderMap, NotSent> {
        let Some(file) = self.headers_file.clone() else {
            return Ok(HeaderMap::new());
        };
        let read = tokio::task::spawn_blocking(move || headers::read(&file));
        match read.await {
            Ok(Ok(headers)) => Ok(headers),
            Ok(Err(error)) => Err(NotSent::Later(error.to_string())),
            Err(error) => Err(NotSent::Later(error.to_string())),
        }
    }
}

impl NotSent {
    /// What somebody else said, in one line that may be shown.
    pub(super) fn why(&self) -> String {
        let (Self::Later(why) | Self::Never(why)) = self;
        text::cut(why, MOST_SAID)
    }
}

fn unwanted(answer: ExportResponse) -> Option<(u64, String)> {
    let partial = answer.partial_success?;
    let count = u64::try_from(partial.rejected_spans)
        .ok()
        .filter(|count| *count > 0)?;
    Some((count, text::cut(&partial.error_message, MOST_SAID)))
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !said.ends_with(&next) {
            said = format!("{said}: {next}");
        }
        cause = inner.source();
    }
    said
}
