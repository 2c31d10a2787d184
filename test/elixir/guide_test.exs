defmodule Rhizome.GuideTest do
  # The guides can be typed into iex from top to bottom, and what their comments
  # say is so.
  use Rhizome.Case, async: true

  @guides Path.expand("../../elixir/guides", __DIR__)

  @moduletag :tmp_dir
  @moduletag :capture_log

  test "every example of the first one" do
    assert type("getting_started.md", & &1) > 8

    # The loader's table comes back after the daemon's death, as is said there.
    primes = Rhizome.handle(MyCache, :primes, :set)
    await(fn -> Rhizome.ping(MyCache) == :ok and loaded?(primes) end)
    store = Process.whereis(MyCache)
    signal(daemon(store), "KILL")
    await(fn -> Process.whereis(MyCache) != store and loaded?(primes) end)
    stop_all()
  end

  test "every example of the one on snapshots" do
    assert type("snapshots.md", & &1) > 8
    stop_all()
  end

  test "every example of the one on graphs" do
    ExUnit.CaptureIO.capture_io(fn -> assert type("graphs.md", & &1) > 12 end)
    stop_all()
  end

  test "every example of the one on import and export", %{tmp_dir: tmp_dir} do
    edit = &String.replace(&1, "System.tmp_dir!()", inspect(tmp_dir))
    assert type("import_export.md", edit) > 3
    stop_all()
  end

  test "every example of the one on durability", %{tmp_dir: tmp_dir} do
    dir = Path.join(tmp_dir, "data")
    assert type("durability.md", &String.replace(&1, ~s("data"), inspect(dir))) > 8
    stop_all()
  end

  test "the bank adds up" do
    bank = Path.expand("../../elixir/examples/bank.exs", __DIR__)

    vm = start_vm(~s|System.argv(["10", "100"]); Code.require_file("#{bank}")|)

    assert await_line(vm, "In") == "the end the accounts hold 1000."
    assert await_exit(vm, 20_000) == 0
  end

  @packages """
  Package: libc6
  Section: libs
  Description: GNU C Library
   Depends: nothing that is in a description
  Depends: libgcc-s1

  Package: libgcc-s1
  Section: libs
  Depends: libc6 (>= 2.34)

  Package: git
  Section: vcs
  Depends: libc6 (>= 2.34),
   perl:any, editor | vi (>= 2) | emacs [amd64]

  Package: perl
  Pre-Depends: libc6

  Package: vim
  Section: editors
  Depends: libc6 (>= 2.36)
  Provides: editor, vi (= 9)
  """

  test "the packages of Debian as a graph", %{tmp_dir: tmp_dir} do
    path = Path.join(tmp_dir, "Packages")
    File.write!(path, @packages)

    assert {output, 0} = example("debian_graph.exs", [path])
    assert output =~ "5 packages and 7 dependencies of"
    assert output =~ "4 packages need it themselves, 4 in the end"
    assert output =~ ~r/1 circles; the largest are\n    2: libc6, libgcc-s1/
    assert output =~ "  libc6\n"
    assert output =~ "(libc6 + libgcc-s1)"
    assert output =~ "and git last"

    assert {output, 0} = example("debian_graph.exs", ["--limit", "1", path])
    assert output =~ "1 packages and 0 dependencies"
    File.write!(path, "nothing\n")
    assert {_output, 65} = example("debian_graph.exs", [path])
  end

  test "sources as syntax trees", %{tmp_dir: tmp_dir} do
    File.write!(Path.join(tmp_dir, "one.erl"), """
    -module(one).
    -export([start/0]).
    start() -> lists:map(fun half/1, loop([1, 2])).
    half(N) -> N / 2.
    loop([]) -> [];
    loop([X | Rest]) -> [X | again(Rest)].
    again(List) -> loop(List).
    """)

    File.write!(
      Path.join(tmp_dir, "two.erl"),
      "-module(two).\ngo() -> one:start(), receive a -> b end.\n"
    )

    assert {output, 0} = example("codebase.exs", [tmp_dir])
    assert output =~ "2 files of"
    assert output =~ "5 functions, 1 places"
    assert output =~ "1 circles, the largest of 2 functions"
    assert {output, 0} = example("codebase.exs", ["--limit", "1", tmp_dir])
    assert output =~ "1 files of"
    assert {_output, 66} = example("codebase.exs", [Path.join(tmp_dir, "none")])
  end

  # The same over some of the real ones, where they are.
  test "sources of OTP, the first of them" do
    if Path.wildcard("#{:code.lib_dir()}/asn1-*/src/*.erl") != [] do
      assert {output, 0} = example("codebase.exs", ["--limit", "4"])
      [_, nodes] = Regex.run(~r/([\d,]+) nodes of syntax trees/, output)
      assert String.to_integer(String.replace(nodes, ",", "")) > 1_000
    end
  end

  defp example(name, arguments) do
    path = Path.expand("../../elixir/examples/#{name}", __DIR__)
    quoted = inspect(arguments)

    vm = start_vm(~s|System.argv(#{quoted}); Code.require_file("#{path}"); IO.puts("done")|)

    collect(vm, [])
  end

  defp collect(vm, lines) do
    receive do
      {^vm, {:data, {:eol, line}}} -> collect(vm, [lines, line, "\n"])
      {^vm, {:data, {:noeol, part}}} -> collect(vm, [lines, part])
      {^vm, {:exit_status, status}} -> {IO.iodata_to_binary(lines), status}
    after
      60_000 -> flunk("the example has not ended")
    end
  end

  defp loaded?(primes) do
    Rhizome.to_list(primes) == [2, 3, 5, 7]
  rescue
    _error in Rhizome.Error -> false
  end

  # What the guides have started is linked to the one who has typed them.
  defp stop_all do
    {:links, links} = Process.info(self(), :links)
    for pid <- links, is_pid(pid), do: Supervisor.stop(pid)
  end

  defp type(guide, edit) do
    blocks =
      for [_, code] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!(Path.join(@guides, guide))),
          not (code =~ "def deps"),
          do: edit.(code)

    # Bindings, and what was aliased and required.
    Enum.reduce(blocks, {[], Code.env_for_eval([])}, fn code, state ->
      code |> String.split("\n") |> Enum.reduce({"", state}, &type_line/2) |> entered!()
    end)

    length(blocks)
  end

  # As iex does: what is complete is evaluated when its line ends, so a line
  # that begins with an operator comes too late.
  defp type_line(line, {typed, {binding, env} = state}) do
    code = typed <> checked(line) <> "\n"

    case Code.string_to_quoted(code) do
      {:ok, quoted} ->
        {_result, binding, env} = Code.eval_quoted_with_env(quoted, binding, env)
        {"", {binding, env}}

      {:error, {_meta, _message, ""}} ->
        {code, state}

      {:error, error} ->
        flunk("iex would not take this: #{inspect(error)}\n#{code}")
    end
  end

  defp entered!({"", state}), do: state

  # A line with a comment that is a term is checked.
  defp checked(line) do
    with [call, expected] <- String.split(line, ~r/\s+# /, parts: 2),
         {:ok, _term} <- term(expected) do
      "#{inspect(__MODULE__)}.same!((#{call}), #{expected})"
    else
      _no_comment -> line
    end
  end

  defp term(text) do
    with {:ok, quoted} <- Code.string_to_quoted(text) do
      if Macro.quoted_literal?(quoted), do: {:ok, quoted}, else: :error
    end
  end

  def same!(found, expected), do: assert(found == expected)
end
