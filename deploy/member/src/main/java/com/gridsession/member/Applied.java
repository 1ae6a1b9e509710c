package com.gridsession.member;

/**
 * What a command came to.
 *
 * @param record the stored bytes afterwards; the very array that went in if nothing is to be written, null if there is none
 * @param reply the answer's bytes
 * @param written whether {@code record} must be stored
 * @param duplicate whether the answer is that of an earlier attempt
 * @param status the answer's status
 * @param retainedUntil when {@code record} may be forgotten, ms; {@link Long#MAX_VALUE} for never
 */
public record Applied(byte[] record, byte[] reply, boolean written, boolean duplicate, int status, long retainedUntil) {
}
