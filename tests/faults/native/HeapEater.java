import java.io.File;
import java.util.ArrayList;
import java.util.List;

/** Eats the heap of the JVM that it is an agent of as soon as the file exists that it was given. */
public final class HeapEater {
    private static final List<byte[]> EATEN = new ArrayList<>();

    private HeapEater() {
    }

    public static void premain(String file) {
        Thread thread = new Thread(() -> watch(new File(file)), "heap-eater");
        thread.setDaemon(true);
        thread.start();
    }

    private static void watch(File file) {
        try {
            while (!file.exists()) {
                Thread.sleep(50);
            }
            while (true) {
                EATEN.add(new byte[1 << 18]);
                // as a leak does: the collector works harder and harder before the end
                Thread.sleep(EATEN.size() % 32 == 0 ? 1 : 0);
            }
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }
}
