mod json;
mod legacy;
mod replies;
mod requests;
mod wire;
mod written;
