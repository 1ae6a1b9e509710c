package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class VectorsTest {
    static List<Vectors.Case> cases() throws IOException {
        return Vectors.load();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void givesTheReplyAndTheRecordOfThePythonRules(Vectors.Case given) {
        byte[] record = given.record();
        byte[] before = record == null ? null : record.clone();

        Applied applied = Rules.apply(record, given.command(), given.now(), given.sessionId(), given.limits());

        assertEquals(given.reply(), Vectors.hex(applied.reply()), "reply");
        assertEquals(given.after(), Vectors.hex(applied.record()), "record afterwards");
        assertArrayEquals(before, record, "the stored bytes must not be changed in place");
        assertEquals(applied.reply()[1], applied.status(), "status");
        if (!applied.written()) {
            assertSame(record, applied.record(), "what is not written is the very array that went in");
        }
    }
}
