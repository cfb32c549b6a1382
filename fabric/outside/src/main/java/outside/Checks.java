package outside;

/** Counts and tells: one line per check, one at the end; the process exits with 1 when anything failed. */
final class Checks {
    /** What a check does; anything thrown means that it failed. */
    interface Check {
        void run() throws Exception;
    }

    private int passed;
    private int failed;

    void check(String name, Check check) {
        try {
            check.run();
            passed++;
            System.out.println("ok    " + name);
        } catch (Exception | AssertionError problem) {
            failed++;
            System.out.println("FAIL  " + name + ": " + problem);
        }
    }

    int end() {
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object expected, Object actual) {
        that(expected.equals(actual), "expected " + expected + ", got " + actual);
    }
}
