defmodule Rhizome.DiskErrorTest do
  # The daemon as it is shipped, with system calls on its log that fail: strace
  # lets the n-th one return an error without carrying it out. Whatever fails,
  # what was acknowledged is there afterwards.
  use Rhizome.Case, async: true

  @moduletag :tmp_dir
  @moduletag :capture_log
  @moduletag timeout: 120_000

  @strace System.find_executable("strace")
  @can_trace @strace != nil and
               match?(
                 {_, 0},
                 System.cmd(@strace, ["-o", "/dev/null", "true"], stderr_to_stdout: true)
               )

  unless @can_trace do
    IO.puts("strace cannot trace here: Rhizome.DiskErrorTest is skipped")
    @moduletag :skip
  end

  setup %{tmp_dir: tmp_dir} do
    Process.flag(:trap_exit, true)
    %{dir: Path.join(tmp_dir, "store")}
  end

  for n <- [1, 2, 3, 5, 9, 20] do
    test "the sync number #{n} fails: exit 74, and no acknowledgement", %{dir: dir} do
      {acknowledged, reason} = run_until_it_dies(dir, "fdatasync", "EIO", unquote(n), :always)
      assert reason == {:daemon_exit, :io}
      assert_all_there(dir, acknowledged)
    end
  end

  for {error, n} <- [{"EIO", 2}, {"EIO", 7}, {"ENOSPC", 3}, {"EDQUOT", 4}] do
    test "the write number #{n} fails with #{error}: exit 74", %{dir: dir} do
      {acknowledged, reason} =
        run_until_it_dies(dir, "pwrite64", unquote(error), unquote(n), {:interval, 10})

      assert reason == {:daemon_exit, :io}
      assert_all_there(dir, acknowledged)
    end
  end

  test "a disk that kept less than it said is found out", %{dir: dir} do
    inject = "pwrite64:retval=3:when=4"
    store = open(dir, inject, :always)
    set = Rhizome.create_table!(store, :s, :set)
    # strace answers that three bytes were written, and writes none: the daemon
    # goes on behind them.
    for i <- 1..50, do: Rhizome.insert(set, i)
    Rhizome.stop(store)

    # That is damage to what was durable, and refused.
    {:ok, store} = Rhizome.start_link(dir: dir)
    assert {:error, %{code: :log_refused}} = Rhizome.digest(store)
    Rhizome.stop(store)
  end

  ## The store

  defp run_until_it_dies(dir, call, error, n, sync) do
    store = open(dir, "#{call}:error=#{error}:when=#{n}", sync)
    acknowledged = insert_until_it_dies(store, Rhizome.create_table(store, :s, :set), 1)
    assert_receive {:EXIT, ^store, reason}, 10_000
    {acknowledged, reason}
  end

  defp insert_until_it_dies(store, {:ok, set}, i) when i < 10_000 do
    case Rhizome.insert(set, i) do
      {:ok, _change} -> insert_until_it_dies(store, {:ok, set}, i + 1)
      {:error, error} -> fate(error, i - 1)
    end
  end

  defp insert_until_it_dies(_store, {:error, error}, _i), do: fate(error, :no_table)

  # Nobody may be told that nothing was done when something may have been.
  defp fate(error, acknowledged) do
    assert error.code in [:unknown_result, :daemon_down, :stopped]
    acknowledged
  end

  defp assert_all_there(dir, acknowledged) do
    {:ok, store} = Rhizome.start_link(dir: dir)

    if is_integer(acknowledged) do
      {:ok, set} = Rhizome.table(store, :s)
      present = Rhizome.to_list(set)
      assert Enum.take(present, acknowledged) == Enum.to_list(1..acknowledged//1)
      assert length(present) in acknowledged..(acknowledged + 1)
    end

    Rhizome.stop(store)
  end

  # A daemon under strace. It is not sealed: a tracer would be in its way.
  defp open(dir, inject, sync) do
    [call | _rest] = String.split(inject, ":")
    wrapper = dir <> ".sh"
    log = Path.join(dir, "log-0000000000000001.tlg")

    File.write!(wrapper, """
    #!/bin/sh
    # The leak checker of a sanitized daemon cannot work under a tracer.
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
    exec #{@strace} -f -qq -o /dev/null -P '#{log}' -e trace=#{call} -e inject=#{inject} \\
      '#{executable()}' "$@" --no-seal
    """)

    File.chmod!(wrapper, 0o700)
    {:ok, store} = Rhizome.start_link(dir: dir, sync: sync, executable: wrapper)
    store
  end

  defp executable do
    {:ok, path} = Rhizome.Executable.find(nil)
    path
  end
end
