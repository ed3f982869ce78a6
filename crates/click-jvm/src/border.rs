//! The calls of `org.clickledger.bridge.Native`. All memory that is shared is Java's: direct
//! buffers, used during a call and not kept. Every error and panic becomes an exception, in
//! [`Thrown`] and nowhere else.
#![expect(unsafe_code, reason = "symbols that Java finds by name, and memory that it lends")]

use crate::error::StageError;
use crate::frames::Taken;
use crate::handles;
use crate::stage::{Kind, Stage, groups};
use click_core::types::Millis;
use jni::errors::ErrorPolicy;
use jni::objects::{JByteBuffer, JClass};
use jni::strings::JNIString;
use jni::sys::{jint, jlong};
use jni::{Env, EnvUnowned};
use std::any::Any;

/// What goes wrong during a call.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("the Java virtual machine refuses: {0}")]
    Jni(#[from] jni::errors::Error),
}

type Outcome<T> = Result<T, CallError>;

/// The one place where errors and panics become exceptions.
struct Thrown;

impl Thrown {
    fn throw<T: Default>(env: &mut Env<'_>, message: &str) -> jni::errors::Result<T> {
        if !env.exception_check() {
            let class = JNIString::from("java/lang/IllegalStateException");
            // Reports the exception that it has thrown as an error.
            let _ = env.throw_new(class, JNIString::from(message));
        }
        Ok(T::default())
    }
}

impl<T: Default> ErrorPolicy<T, CallError> for Thrown {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut Self::Captures<'unowned_env_local, 'native_method>,
        error: CallError,
    ) -> jni::errors::Result<T> {
        Thrown::throw(env, &error.to_string())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut Self::Captures<'unowned_env_local, 'native_method>,
        payload: Box<dyn Any + Send + 'static>,
    ) -> jni::errors::Result<T> {
        Thrown::throw(env, &format!("a broken invariant of the core: {}", text(&*payload)))
    }
}

/// What a panic said.
fn text(payload: &(dyn Any + Send)) -> &str {
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text")
}

/// Where a direct buffer begins that holds `len` bytes or more.
fn begin(env: &Env<'_>, buffer: &JByteBuffer<'_>, len: jint) -> Outcome<(*mut u8, usize)> {
    let len = usize::try_from(len).map_err(|_| StageError::Buffer)?;
    if len > env.get_direct_buffer_capacity(buffer)? {
        return Err(StageError::Buffer.into());
    }
    Ok((env.get_direct_buffer_address(buffer)?, len))
}

/// The first `len` bytes of a direct buffer.
fn bytes<'a>(env: &Env<'_>, buffer: &'a JByteBuffer<'_>, len: jint) -> Outcome<&'a [u8]> {
    let (start, len) = begin(env, buffer, len)?;
    // SAFETY: the buffer is `len` bytes long or longer, of Java's own zeroed memory, and lives as
    // long as its reference, which is an argument of the call. The bridge uses a buffer in one
    // thread, and that thread is in this call.
    Ok(unsafe { std::slice::from_raw_parts(start, len) })
}

/// The same, to be written to.
fn room<'a>(env: &Env<'_>, buffer: &'a mut JByteBuffer<'_>, len: jint) -> Outcome<&'a mut [u8]> {
    let (start, len) = begin(env, buffer, len)?;
    // SAFETY: as in `bytes`; nobody else has this reference to it.
    Ok(unsafe { std::slice::from_raw_parts_mut(start, len) })
}

fn length(count: usize) -> Outcome<jint> {
    Ok(jint::try_from(count).map_err(|_| StageError::Buffer)?)
}

fn group(number: jint) -> Outcome<u8> {
    Ok(u8::try_from(number).map_err(|_| StageError::Groups(number, number))?)
}

/// Times are below 2^48.
fn signed(number: u64) -> Outcome<jlong> {
    Ok(jlong::try_from(number).map_err(|_| StageError::Watermark(number))?)
}

/// Runs a call.
fn call<'local, T: Default>(
    env: &mut EnvUnowned<'local>,
    work: impl FnOnce(&mut Env<'local>) -> Outcome<T>,
) -> T {
    env.with_env(work).resolve::<Thrown>()
}

/// [`crate::BORDER_VERSION`].
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_version<'local>(
    _env: EnvUnowned<'local>,
    _class: JClass<'local>,
) -> jint {
    jint::try_from(crate::BORDER_VERSION).unwrap_or(-1)
}

/// A stage's handle.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_open<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    kind: jint,
    first_group: jint,
    end_group: jint,
    header: JByteBuffer<'local>,
    len: jint,
) -> jlong {
    call(&mut env, |env| {
        let (kind, groups) = (Kind::of(kind)?, groups(first_group, end_group)?);
        let header = bytes(env, &header, len)?;
        Ok(handles::add(Stage::open(kind, groups, header)?))
    })
}

/// Takes a piece of a key group's snapshot.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_restore<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    number: jint,
    piece: JByteBuffer<'local>,
    len: jint,
) {
    call(&mut env, |env| {
        let (group, piece) = (group(number)?, bytes(env, &piece, len)?);
        Ok(handles::with(handle, |stage| stage.restore(group, piece))?)
    });
}

/// Starts the stage where its snapshots were taken.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_start<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) {
    call(&mut env, |_| Ok(handles::with(handle, Stage::start)?));
}

/// Takes frames; bytes of frames that wait then.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_apply<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    frames: JByteBuffer<'local>,
    len: jint,
) -> jlong {
    call(&mut env, |env| {
        let frames = bytes(env, &frames, len)?;
        let apply = |stage: &mut Stage| stage.apply(frames).map(|()| stage.pending());
        signed(handles::with(handle, apply)? as u64)
    })
}

/// Goes to a watermark, or as far as records allow; says how far.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_advance<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    watermark: jlong,
) -> jlong {
    call(&mut env, |_| {
        let w = Millis(u64::try_from(watermark).unwrap_or(0));
        signed(handles::with(handle, |stage| stage.advance(w))?.0)
    })
}

/// Hands out the whole journal of a key group; bytes of frames that wait then.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_journal<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    number: jint,
) -> jlong {
    call(&mut env, |_| {
        let group = group(number)?;
        let journal = |stage: &mut Stage| stage.journal(group).map(|()| stage.pending());
        signed(handles::with(handle, journal)? as u64)
    })
}

/// Moves waiting frames into a buffer; how many bytes, or, negative, how many the next one needs.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_drain<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    mut buffer: JByteBuffer<'local>,
    capacity: jint,
) -> jint {
    call(&mut env, |env| {
        let buffer = room(env, &mut buffer, capacity)?;
        match handles::with(handle, |stage| Ok(stage.drain(buffer)))? {
            Taken::Bytes(count) => length(count),
            Taken::TooSmall(needed) => Ok(-length(needed)?),
        }
    })
}

/// Takes a key group's snapshot; its length.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_snapshot<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    number: jint,
) -> jlong {
    call(&mut env, |_| signed(handles::snapshot(handle, group(number)?)? as u64))
}

/// Moves what is left of the snapshot into a buffer, as much as fits.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_takeState<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    mut buffer: JByteBuffer<'local>,
    capacity: jint,
) -> jint {
    call(&mut env, |env| {
        let buffer = room(env, &mut buffer, capacity)?;
        length(handles::take_state(handle, buffer)?)
    })
}

/// Records known to be missing.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_gaps<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) -> jlong {
    call(&mut env, |_| signed(handles::with(handle, |stage| stage.gaps())?))
}

/// Frees a stage, even one that failed; nothing if it was closed before.
#[unsafe(no_mangle)]
pub extern "system" fn Java_org_clickledger_bridge_Native_close<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) {
    call(&mut env, |_| {
        handles::close(handle);
        Ok(())
    });
}
