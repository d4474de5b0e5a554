mod json;
mod replies;
mod requests;
