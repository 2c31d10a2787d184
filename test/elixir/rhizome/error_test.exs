defmodule Rhizome.ErrorTest do
  use ExUnit.Case, async: true

  alias Rhizome.Error

  @port_src Path.expand("../../../port_src", __DIR__)

  test "the codes of the daemon are those of status.h, sentences included" do
    text = File.read!(Path.join(@port_src, "core/status.h"))

    rows =
      for [_, atom, sentence] <-
            Regex.scan(~r/X\([A-Z_]+,\s*-\d+,\s*"(\w+)",[\s\\]*"([^"]+)"\)/, text) do
        {String.to_atom(atom), sentence}
      end

    assert length(rows) >= 16
    assert rows == Error.daemon_codes()
  end

  test "PROTOCOL.md has the codes of the daemon and those of the client" do
    text = File.read!(Path.join(@port_src, "PROTOCOL.md"))
    [_, errors] = String.split(text, "## 4. Errors")
    [errors | _] = String.split(errors, "\n## ")

    # Tables with the heading "Code": the daemon's and the client's.
    [_, daemon, client] = String.split(errors, ~r/^\| Code \|.*$/m)
    [daemon | _details] = String.split(daemon, "| Detail |")

    assert codes(daemon) == Keyword.keys(Error.daemon_codes())
    assert codes(client) == Keyword.keys(Error.client_codes())
  end

  test "PROTOCOL.md names the version that is spoken" do
    text = File.read!(Path.join(@port_src, "PROTOCOL.md"))
    assert text =~ "protocol => #{Rhizome.Protocol.version()},"
  end

  test "a code means one thing" do
    assert Error.codes() == Enum.uniq(Error.codes())
    assert Keyword.keys(Error.client_codes()) -- Error.codes() == []
  end

  test "a message says what and where" do
    error = Error.new(:no_table, nil, %{table: :owns, index: 3})
    assert Exception.message(error) =~ "no_table: no table has this name"
    assert Exception.message(error) =~ "table :owns"
    assert Exception.message(error) =~ "index 3"
    assert Exception.message(Error.new(:brand_new)) =~ "brand_new"
  end

  defp codes(table) do
    for [_, code] <- Regex.scan(~r/^\| `(\w+)` \|/m, table), do: String.to_atom(code)
  end
end
