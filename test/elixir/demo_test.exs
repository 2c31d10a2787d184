defmodule Rhizome.DemoTest do
  # The demo as a user starts it, with a small index of all that is odd in one.
  use Rhizome.Case, async: true

  alias Rhizome.Executable

  @demo Path.expand("../../elixir/demo", __DIR__)

  @packages """
  Package: libc6
  Version: 2.36-9
  Source: glibc (2.36-9+b1)
  Maintainer: GNU Libc Maintainers <libc@example.org>
  Description: GNU C Library
   Depends: nothing that is in a description

  Package: git
  Version: 1:2.39
  Maintainer: Gerrit <gerrit@example.org>
  Depends: libc6 (>= 2.34),
   perl:any, editor | vi (>= 2) | emacs [amd64]
  Pre-Depends: dpkg (>= 1.15.6~)

  Package: vim
  Version: 9
  Maintainer: Vim Maintainers <vim@example.org>
  Depends: libc6 (>= 2.36)
  Provides: editor, vi (= 9)
  """

  @moduletag :tmp_dir
  @moduletag timeout: 120_000

  test "loads a file, answers, survives its daemon and leaves a store behind", context do
    path = Path.join(context.tmp_dir, "Packages")
    File.write!(path, @packages)
    {output, status} = demo(["--input", path], context)
    assert status == 0, output
    assert output =~ "The directory is new."

    assert output =~ "3 packages"
    assert output =~ "2: git, vim"
    assert output =~ "What does git need, directly and through others?"
    assert output =~ "6 packages\n"
    assert output =~ "git of Gerrit <gerrit@example.org>"
    assert output =~ "was 1; the new one has 1"
    assert output =~ "%{daemon_down: 1000}"
    assert output =~ ~r/Halfway, kill -9 ended process \d+/
    assert output =~ ~r/has all 9 tables back, after \d+ ms, and the same digest/
    [_, digest] = Regex.run(~r/Its digest was (\w{32}),/, output)
    assert output =~ ~r/\$ rhizome replay --verify store\n(.*\n)*.*#{digest}/
    assert output =~ "ends at the same digest"

    # Mix says which daemon it installs, by its path.
    [own_words, _replay] = String.split(output, "$ rhizome")

    for line <- String.split(own_words, "\n"), not (line =~ ~r/^Installing /) do
      assert String.length(line) <= 80, line
    end

    [_, os_pid] = Regex.run(~r/process (\d+), was/, output)
    refute File.exists?("/proc/#{os_pid}")

    # Again: the same answers from a store that was not empty.
    assert {again, 0} = demo(["--input", path], context)
    assert again =~ "It holds what an earlier run has left: 9 tables"
    assert again =~ "3 packages"
    assert again =~ "2: git, vim"
    assert again =~ "ends at the same digest"

    # A second one at a time, and one whose log is damaged, are told so.
    {:ok, store} = Rhizome.start_link(dir: Path.join(context.tmp_dir, "store"))
    assert {output, 75} = demo(["--input", path], context)
    assert output =~ ~r/demo: the directory .* is held by process \d+/
    Rhizome.stop(store)
    File.write!(Path.join(context.tmp_dir, "store/MANIFEST"), "garbage")
    assert {output, 75} = demo(["--input", path], context)
    assert output =~ "demo: the log in #{Path.join(context.tmp_dir, "store")} is refused: "
    refute output =~ "**"
  end

  test "says what is wrong with its arguments", context do
    assert {output, 66} = demo(["--input", "/no/such/file"], context)
    assert output =~ "cannot read /no/such/file"
    assert {_usage, 64} = demo(["--bogus"], context)
    assert {usage, 0} = demo(["--help"], context)
    assert usage =~ "--input FILE"
  end

  test "says so when there is nothing in its input", context do
    directory = context.tmp_dir
    assert {output, 66} = demo(["--input", directory], context)
    assert output == "demo: #{directory} is a directory\n"

    for {bytes, what} <- [
          {"", "packages"},
          {:crypto.strong_rand_bytes(100_000), "packages"},
          {"Package: alone\nVersion: 1\n", "dependencies"}
        ] do
      path = Path.join(directory, "Packages")
      File.write!(path, bytes)
      assert {output, 65} = demo(["--input", path], context)
      assert List.last(String.split(output, "\n", trim: true)) == "demo: #{path} holds no #{what}"
      refute output =~ "**"
    end
  end

  test "ends quietly when nobody reads on", context do
    path = Path.join(context.tmp_dir, "Packages")
    File.write!(path, @packages)
    assert {_output, 0} = demo(["--input", path], context)

    {output, 0} =
      System.cmd(
        "/bin/sh",
        ["-c", ~S("$1" --input "$2" --dir store | head -n 2), "sh", @demo, path],
        stderr_to_stdout: true,
        cd: context.tmp_dir,
        env: environment(context)
      )

    assert length(String.split(output, "\n", trim: true)) <= 2, output
  end

  # Compiled beside the build under test, with the daemon under test.
  defp demo(arguments, context) do
    System.cmd(@demo, arguments ++ ["--dir", "store"],
      stderr_to_stdout: true,
      cd: context.tmp_dir,
      env: environment(context)
    )
  end

  defp environment(context) do
    {:ok, executable} = Executable.find(nil)

    %{
      "RHIZOME_EXECUTABLE" => nil,
      "MIX_ENV" => "prod",
      "MIX_BUILD_PATH" => Path.join(context.tmp_dir, "build"),
      "RHIZOME_PORT" => executable
    }
  end
end
