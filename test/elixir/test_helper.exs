# The daemon under test is RHIZOME_EXECUTABLE if it is set (a sanitizer build),
# else the one that mix has built.

# What the examples write goes away with the tests.
scratch = Path.join(System.tmp_dir!(), "rhizome-test-#{System.pid()}")
File.mkdir_p!(scratch)
System.put_env("TMPDIR", scratch)
ExUnit.after_suite(fn _result -> File.rm_rf!(scratch) end)

# A loaded machine takes its time over what has to come anyway.
ExUnit.start(assert_receive_timeout: 5_000)
