//! Messages of producers as bytes: taken into the node's memory as they arrive, decoded record by
//! record where the CPU work is done.
//!
//! Generated servers decode a whole message before a handler is asked, and messages grow a hundredfold
//! by that; so the services that take records in have servers of their own.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{self, HeaderValue};
use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstEncoder;

use crate::api::Api;
use crate::gateway::{Full, Gateway, Permit, Way, full};
use crate::limits::DECOMPRESSION_ESTIMATE;

/// Gives messages as they are and encodes answers.
pub(super) struct Whole<T>(PhantomData<T>);

impl<T: Message + 'static> Codec for Whole<T> {
    type Encode = T;
    type Decode = Bytes;
    type Encoder = ProstEncoder<T>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self(PhantomData)
    }
}

impl<T> Decoder for Whole<T> {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

/// What speaks gRPC with answers of this type.
pub(super) fn grpc<T: Message + 'static>(api: &Api) -> Grpc<Whole<T>> {
    Grpc::new(Whole(PhantomData))
        .max_decoding_message_size(api.body_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
}

/// The answer of a method that the service does not have.
pub(super) fn unimplemented() -> http::Response<Body> {
    Status::unimplemented("there is no such method").into_http()
}

/// Says that a message is over a limit the way all other interfaces do.
pub(super) fn exhausted(status: Status) -> Status {
    if status.code() == Code::OutOfRange {
        Status::resource_exhausted(status.message())
    } else {
        status
    }
}

/// As [`exhausted`], for an answer that is made already.
pub(super) fn exhausted_answer(mut response: http::Response<Body>) -> http::Response<Body> {
    if let Some(code) = response.headers_mut().get_mut(Status::GRPC_STATUS)
        && *code == HeaderValue::from(Code::OutOfRange as i32)
    {
        *code = HeaderValue::from(Code::ResourceExhausted as i32);
    }
    response
}

/// A method that takes a message and its room.
pub(super) struct Unary<F>(pub(super) F);

impl<F, T: 'static> UnaryService<Bytes> for Unary<F>
where
    F: FnMut(Bytes, Permit) -> BoxFuture<'static, Result<T, Status>>,
{
    type Response = T;
    type Future = BoxFuture<'static, Result<Response<T>, Status>>;

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let Some(intake) = request.extensions_mut().remove::<Intake>() else {
            let missing = Status::internal("a request came without its room");
            return Box::pin(async move { Err(missing) });
        };
        let answer = (self.0)(request.into_inner(), intake.take());
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// Room for what a request's body has brought and nobody has taken over yet.
#[derive(Clone)]
pub(super) struct Intake {
    gateway: Gateway,
    way: Way,
    /// Text in memory per byte received.
    growth: usize,
    bytes_max: usize,
    held: Arc<Mutex<Held>>,
}

struct Held {
    permit: Permit,
    bytes: usize,
}

impl Intake {
    fn add(&self, bytes: usize) -> Result<(), Status> {
        let mut held = self.held.lock();
        let Held { permit, bytes: all } = &mut *held;
        *all += bytes;
        let grown = all.saturating_mul(self.growth).min(self.bytes_max);
        let grown = self.gateway.admission().grow(permit, grown.max(*all));
        grown.map_err(|Full| {
            let failure = full();
            self.gateway.turned_away(self.way, &failure);
            Status::from(failure)
        })
    }

    /// Takes over the room of the message that was read.
    pub(super) fn take(&self) -> Permit {
        let mut held = self.held.lock();
        held.bytes = 0;
        std::mem::replace(&mut held.permit, self.gateway.admission().none())
    }
}

/// A body for which room is taken as it arrives.
struct Metered {
    body: Body,
    intake: Intake,
}

/// Takes room for the request's body from now on; handlers find it among the extensions.
pub(super) fn metered(
    api: &Api,
    way: Way,
    request: http::Request<Body>,
) -> http::Request<impl HttpBody<Data = Bytes, Error = Status> + Send + use<>> {
    let identity = HeaderValue::from_static("identity");
    let compressed = request
        .headers()
        .get("grpc-encoding")
        .is_some_and(|encoding| *encoding != identity);
    let permit = api.gateway.admission().none();
    let intake = Intake {
        gateway: api.gateway.clone(),
        way,
        growth: if compressed {
            DECOMPRESSION_ESTIMATE
        } else {
            1
        },
        bytes_max: api.body_bytes_max,
        held: Arc::new(Mutex::new(Held { permit, bytes: 0 })),
    };
    let mut request = request.map(|body| Metered {
        body,
        intake: intake.clone(),
    });
    request.extensions_mut().insert(intake);
    request
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            let outcome = frame?.and_then(|frame| {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.intake.add(bytes).map(|()| frame)
            });
            Some(outcome)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
