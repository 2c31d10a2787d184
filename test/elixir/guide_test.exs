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

    Enum.reduce(blocks, [], fn code, binding ->
      code |> String.split("\n") |> Enum.reduce({"", binding}, &type_line/2) |> entered!()
    end)

    length(blocks)
  end

  # As iex does: what is complete is evaluated when its line ends, so a line
  # that begins with an operator comes too late.
  defp type_line(line, {typed, binding}) do
    code = typed <> checked(line) <> "\n"

    case Code.string_to_quoted(code) do
      {:ok, quoted} ->
        {_result, binding} = Code.eval_quoted(quoted, binding)
        {"", binding}

      {:error, {_meta, _message, ""}} ->
        {code, binding}

      {:error, error} ->
        flunk("iex would not take this: #{inspect(error)}\n#{code}")
    end
  end

  defp entered!({"", binding}), do: binding

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
