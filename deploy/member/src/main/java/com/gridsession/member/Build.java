package com.gridsession.member;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.Collections;
import java.util.List;
import java.util.jar.Attributes;
import java.util.jar.Manifest;

/** What the manifest of our own jar says; empty where the classes do not come from a jar. */
final class Build {
    static final String VERSION;
    static final String SOURCES;

    private static final String SOURCES_KEY = "Gridsession-Sources-SHA256";

    static {
        Attributes ours = read();
        VERSION = text(ours, Attributes.Name.IMPLEMENTATION_VERSION.toString());
        SOURCES = text(ours, SOURCES_KEY);
    }

    private Build() {
    }

    private static String text(Attributes attributes, String name) {
        String value = attributes.getValue(name);
        return value == null ? "" : value;
    }

    private static Attributes read() {
        try {
            List<URL> manifests = Collections.list(Build.class.getClassLoader().getResources("META-INF/MANIFEST.MF"));
            for (URL manifest : manifests) {
                try (InputStream in = manifest.openStream()) {
                    Attributes attributes = new Manifest(in).getMainAttributes();
                    if (attributes.getValue(SOURCES_KEY) != null) {
                        return attributes;
                    }
                }
            }
        } catch (IOException unreadable) {
            return new Attributes();
        }
        return new Attributes();
    }
}
