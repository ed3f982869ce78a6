//! The floor under every HTTP server: reads whatever comes on a connection and writes the same
//! response, parsing nothing and keeping nothing.

use super::wait_for_the_end;
use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n";

/// Serves on one thread until its input ends.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        super::say(&json!({ "port": listener.local_addr()?.port() }))?;
        tokio::spawn(accept(listener));
        Ok(tokio::task::spawn_blocking(wait_for_the_end).await?)
    })
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

/// A generator that does not pipeline sends one request, then waits: one read, one answer.
async fn answer(mut stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {
        if stream.write_all(RESPONSE).await.is_err() {
            return;
        }
    }
}
