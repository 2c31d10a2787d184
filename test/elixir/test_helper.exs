# The daemon under test is RHIZOME_EXECUTABLE if it is set (a sanitizer build),
# else the one that mix has built.
# A loaded machine takes its time over what has to come anyway.
ExUnit.start(assert_receive_timeout: 5_000)
