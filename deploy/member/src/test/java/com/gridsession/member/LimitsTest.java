package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Properties;
import org.junit.jupiter.api.Test;

class LimitsTest {
    private final Properties properties = new Properties();

    @Test
    void areTheDefaultsWhereNothingIsSet() {
        assertEquals(Limits.DEFAULT, Limits.of(properties));
    }

    @Test
    void areReadFromTheMembersProperties() {
        properties.setProperty("gridsession.max-record-bytes", "1048576");
        properties.setProperty("gridsession.max-fields", " 10 ");
        properties.setProperty("gridsession.max-name-bytes", "11");
        properties.setProperty("gridsession.max-id-bytes", "12");
        properties.setProperty("gridsession.max-ring", "13");
        properties.setProperty("gridsession.max-waiters", "14");
        properties.setProperty("gridsession.max-horizon-ms", "15");
        properties.setProperty("gridsession.max-operations", "16");
        assertEquals(new Limits(1_048_576, 10, 11, 12, 13, 14, 15, 16), Limits.of(properties));
    }

    @Test
    void stayWithinWhatTheLayoutsHold() {
        properties.setProperty("gridsession.max-fields", "99999999999");
        properties.setProperty("gridsession.max-name-bytes", "1000");
        assertEquals(65_535, Limits.of(properties).fields());
        assertEquals(255, Limits.of(properties).nameBytes());
    }

    @Test
    void mustBeNumbers() {
        properties.setProperty("gridsession.max-ring", "many");
        assertThrows(IllegalArgumentException.class, () -> Limits.of(properties));
    }
}
