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
 * @param ended what had ended by now in the record that was found: {@link #SESSION}, {@link #LEASE}, their sum, or 0
 */
public record Applied(byte[] record, byte[] reply, boolean written, boolean duplicate, int status, long retainedUntil,
        int ended) {
    /** A session whose time was over. */
    static final int SESSION = 1;
    /** A lease that its holder neither renewed nor gave back. */
    static final int LEASE = 2;
}
