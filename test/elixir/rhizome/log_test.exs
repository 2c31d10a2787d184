defmodule Rhizome.LogTest do
  # Term logs that were made by hand, byte by byte; those that the daemon
  # writes are in durability_test.exs.
  use Rhizome.Case, async: true

  import Rhizome.LogWriter

  alias Rhizome.{Error, Log}
  alias Rhizome.Log.Record

  @moduletag :tmp_dir

  doctest Rhizome.Log

  describe "a log" do
    test "gives its records, with where they stand", %{tmp_dir: tmp_dir} do
      path =
        write(tmp_dir, [
          header(:log, first_seq: 7),
          mutation(7),
          record(:digest, 7, {:digest, <<1::128>>}),
          mutation(8, 7),
          record(:mark, 8, [], durable: 8),
          record(200, 8, {:from, :the, :future}),
          record(:roll, 8, {:roll, "log-0000000000000009.tlg"}, durable: 8)
        ])

      records = Enum.to_list(Log.stream!(path))

      assert for(r <- records, do: {r.seq, r.type, r.op, r.durable_seq}) == [
               {7, :mutation, op(7), 0},
               {7, :digest, {:digest, <<1::128>>}, 0},
               {8, :mutation, op(8), 7},
               {8, :mark, [], 8},
               {8, 200, {:from, :the, :future}, 0},
               {8, :roll, {:roll, "log-0000000000000009.tlg"}, 8}
             ]

      # One after another, from the header to the end.
      ends =
        Enum.scan(records, 64, fn %Record{offset: offset, bytes: bytes}, at ->
          assert offset == at
          at + bytes
        end)

      assert List.last(ends) == File.stat!(path).size
      assert Enum.all?(records, &(&1.file == Path.basename(path)))
    end

    test "is read lazily, through records larger than a chunk", %{tmp_dir: tmp_dir} do
      large = String.duplicate("x", 1_000_000)
      records = for n <- 1..20, do: record(:mutation, n, {:insert, :t, :fwd, {n, large}})
      path = write(tmp_dir, [header(:log) | records])
      assert [%Record{seq: 1, op: {:insert, :t, :fwd, {1, ^large}}}] = take(path, 1)

      reader =
        Task.async(fn ->
          for %Record{op: {:insert, :t, :fwd, {_n, value}}} <- Log.stream!(path), reduce: 0 do
            most ->
              assert byte_size(value) == 1_000_000
              {:binary, binaries} = Process.info(self(), :binary)
              max(most, binaries |> Enum.uniq() |> Enum.map(&elem(&1, 1)) |> Enum.sum())
          end
        end)

      assert Task.await(reader) < 15_000_000
    end

    test "may end in zeros, which were allocated and not used", %{tmp_dir: tmp_dir} do
      for zeros <- [1, 23, 24, 300_000] do
        path = write(tmp_dir, [log(1..3), :binary.copy(<<0>>, zeros)])
        assert seqs(path, torn: :raise) == [1, 2, 3]
      end
    end

    test "an empty one has no records", %{tmp_dir: tmp_dir} do
      assert seqs(write(tmp_dir, header(:log))) == []
    end

    test "what a crash has torn ends it, or raises", %{tmp_dir: tmp_dir} do
      <<torn::binary-30, _rest::binary>> = mutation(4)
      flipped = flip(mutation(4), 30)

      for tail <- [torn, flipped, "garbage", [flipped, mutation(5)], mutation(5)] do
        path = write(tmp_dir, [log(1..3), tail])
        assert seqs(path) == [1, 2, 3]
        error = assert_raise Error, fn -> seqs(path, torn: :raise) end
        assert %{code: :log_refused, details: %{reason: :torn, seq: 3}} = error
        assert error.details.offset == IO.iodata_length(log(1..3))
        assert error.message =~ Path.basename(path)
      end
    end

    test "what a later record says was durable cannot have been torn", %{tmp_dir: tmp_dir} do
      start = [log(1..3)]

      for {damaged, proof} <- [
            {flip(mutation(4), 3), mutation(5, 4)},
            {flip(mutation(4), 30), [mutation(5), mutation(6, 5)]},
            {"", mutation(6, 4)},
            {:binary.copy(<<0>>, 400_000), mutation(6, 5)}
          ] do
        path = write(tmp_dir, [start, damaged, proof])
        assert error = assert_raise(Error, fn -> seqs(path) end)
        assert %{code: :log_refused, details: %{reason: :damaged, missing_from: 4}} = error
        assert error.details.offset == IO.iodata_length(start)
        assert error.details.missing_to in 4..5
        assert error.details.proof_offset >= IO.iodata_length([start, damaged])
        assert take(path, 3) |> Enum.map(& &1.seq) == [1, 2, 3]
      end

      # So says one that was read before.
      path = write(tmp_dir, [start, record(:mark, 3, [], durable: 3), "garbage"])
      assert seqs(path) == [1, 2, 3, 3]
    end

    test "nothing follows an orderly end", %{tmp_dir: tmp_dir} do
      close = record(:close, 3, {:close, <<0::128>>}, durable: 3)
      assert seqs(write(tmp_dir, [log(1..3), close, <<0::5000>>])) == [1, 2, 3, 3]

      for more <- ["garbage", mutation(4), record(:mark, 3, [])] do
        assert_raise Error,
                     ~r/follows a(nother)? record of type close|follows one of type close/,
                     fn ->
                       seqs(write(tmp_dir, [log(1..3), close, more]))
                     end
      end
    end

    test "a record whose checksums are right and which makes no sense", %{tmp_dir: tmp_dir} do
      for {record, why} <- [
            {record(99, 4, []), "no records of type 99"},
            {record(:table, 4, {:create_table, :t, :set, %{}}), "no records of type 17"},
            {record(:mutation, 4, "no tuple"), "none of its type"},
            {record(:digest, 3, {:digest, "short"}), "none of its type"},
            {record(:mutation, 4, nil, payload: <<131, 255>>), "no term"},
            {record(:mutation, 4, nil, payload: :erlang.term_to_binary({:a}) <> <<0>>),
             "bytes behind its term"},
            {record(:mutation, 4, nil,
               payload: :erlang.term_to_binary({:a, String.duplicate("a", 1000)}, [:compressed])
             ), "compressed"}
          ] do
        error = assert_raise Error, fn -> seqs(write(tmp_dir, [log(1..3), record])) end
        assert error.message =~ why
        assert error.details.offset == IO.iodata_length(log(1..3))
      end
    end

    test "atoms that this VM does not have are made, or refused", %{tmp_dir: tmp_dir} do
      name = "rhizome_log_#{System.os_time()}"
      insert = <<131, 104, 2, 119, 6, "insert", 119, byte_size(name), name::binary>>
      path = write(tmp_dir, [header(:log), record(:mutation, 1, nil, payload: insert)])

      error = assert_raise Error, fn -> seqs(path, atoms: :existing) end
      assert error.message =~ "atoms that this VM does not have"
      assert [%Record{op: {:insert, atom}}] = Enum.to_list(Log.stream!(path))
      assert Atom.to_string(atom) == name
      assert seqs(path, atoms: :existing) == [1]
    end

    test "each byte flipped, and each length: a prefix or an error", %{tmp_dir: tmp_dir} do
      bytes =
        IO.iodata_to_binary([
          log(1..4),
          mutation(5, 4),
          record(:digest, 5, {:digest, <<7::128>>}, durable: 4),
          mutation(6, 5),
          record(:close, 6, {:close, <<8::128>>}, durable: 6)
        ])

      whole = tmp_dir |> write(bytes) |> Log.stream!() |> Enum.map(&{&1.seq, &1.op})
      path = write(tmp_dir, "")

      for at <- 0..(byte_size(bytes) - 1), bit <- [0, 7] do
        File.write!(path, flip(bytes, at, bit))
        {records, error} = read(path)
        assert List.starts_with?(whole, records), "byte #{at}"
        assert error || length(records) < length(whole), "byte #{at}: nobody noticed"
        # All but the last two records are proven by what follows them.
        if at < 64 or length(records) < 5, do: assert(error, "byte #{at}: torn?")
      end

      for size <- 64..(byte_size(bytes) - 1) do
        File.write!(path, binary_part(bytes, 0, size))
        assert {records, nil} = read(path)
        assert List.starts_with?(whole, records)
      end
    end
  end

  describe "a directory" do
    test "is its checkpoint, then its log", %{tmp_dir: tmp_dir} do
      dir = with_checkpoint(tmp_dir)

      assert for(r <- Log.stream!(dir), do: {r.type, r.seq}) == [
               checkpoint: 1,
               table: 2,
               elements: 3,
               table_end: 4,
               checkpoint_end: 5,
               mutation: 11,
               mutation: 12,
               mutation: 13,
               mutation: 14
             ]

      assert seqs(dir, checkpoint: false) == [11, 12, 13, 14]
    end

    test "what the checkpoint has already is not given out again", %{tmp_dir: tmp_dir} do
      dir =
        directory(
          Path.join(tmp_dir, "store"),
          [{checkpoint_name(3), checkpoint(3, [1, 2, 3])}, {segment_name(2), log(2..5)}],
          checkpoint: 3
        )

      assert seqs(dir, checkpoint: false) == [4, 5]
    end

    test "a segment that is newer than the manifest belongs to it", %{tmp_dir: tmp_dir} do
      files = [{segment_name(1), log(1..2)}, {segment_name(3), log(3..4, epoch: 2)}]
      dir = directory(Path.join(tmp_dir, "store"), files, segments: [1])
      assert seqs(dir) == [1, 2, 3, 4]
    end

    test "a newest segment whose making a crash interrupted is a torn tail", %{tmp_dir: tmp_dir} do
      close = record(:close, 2, {:close, <<0::128>>}, durable: 2)

      for start <- ["", binary_part(header(:log, first_seq: 3), 0, 40), "garbage"],
          {finish, seqs} <- [{"", [1, 2]}, {close, [1, 2, 2]}] do
        files = [{segment_name(1), [log(1..2), finish]}, {segment_name(3), start}]
        dir = directory(Path.join(tmp_dir, "store"), files, segments: [1])
        assert seqs(dir) == seqs
        error = assert_raise Error, fn -> seqs(dir, torn: :raise) end
        assert %{reason: :torn, file: "log-0000000000000001.tlg", seq: 2} = error.details
      end
    end

    test "mutations that the manifest knows to be durable are missed", %{tmp_dir: tmp_dir} do
      dir = directory(Path.join(tmp_dir, "store"), [{segment_name(1), log(1..4)}], durable: 6)
      error = assert_raise Error, fn -> seqs(dir) end
      assert %{missing_from: 5, missing_to: 6, file: "log-0000000000000001.tlg"} = error.details
    end

    test "files that do not belong together", %{tmp_dir: tmp_dir} do
      other = [header(:log, first_seq: 3, store_id: <<1::128>>)]

      for {second, why} <- [
            {other, "another store"},
            {log(3..4, epoch: 1), "does not belong behind"},
            {checkpoint(2, [1]), "which its name denies"}
          ] do
        files = [{segment_name(1), log(1..2, epoch: 2)}, {segment_name(3), second}]
        dir = directory(Path.join(tmp_dir, "store"), files)
        error = assert_raise Error, fn -> seqs(dir) end
        assert error.message =~ Regex.compile!(why)
        assert error.details.file == segment_name(3)
      end
    end

    test "a gap between two files: torn, or proof that something is missing", %{tmp_dir: tmp_dir} do
      first = {segment_name(1), log(1..2)}
      dir = Path.join(tmp_dir, "store")
      assert seqs(directory(dir, [first, {segment_name(4), log(4..5)}])) == [1, 2]

      proof = [header(:log, first_seq: 4), mutation(4, 3)]
      directory(dir, [first, {segment_name(4), proof}])
      error = assert_raise Error, fn -> seqs(dir) end

      assert %{missing_from: 3, missing_to: 3, proof_file: "log-0000000000000004.tlg"} =
               error.details

      assert {error.details.file, error.details.offset} ==
               {segment_name(1), IO.iodata_length(log(1..2))}
    end

    test "a file that is listed and missing, a damaged checkpoint or manifest", %{
      tmp_dir: tmp_dir
    } do
      dir = with_checkpoint(tmp_dir)
      path = Path.join(dir, checkpoint_name(10))
      bytes = File.read!(path)

      for at <- [5, 70, byte_size(bytes) - 1] do
        File.write!(path, flip(bytes, at))
        error = assert_raise Error, fn -> seqs(dir) end
        assert %{code: :log_refused, details: %{file: "ckpt-000000000000000a.tlg"}} = error
      end

      File.write!(path, binary_part(bytes, 0, byte_size(bytes) - 60))
      assert_raise Error, ~r/log_refused/, fn -> seqs(dir) end
      File.write!(path, bytes)

      File.rename!(Path.join(dir, segment_name(13)), Path.join(dir, "elsewhere"))
      error = assert_raise Error, fn -> seqs(dir) end
      assert error.message =~ "is missing"

      File.write!(Path.join(dir, "MANIFEST"), "garbage")
      error = assert_raise Error, fn -> seqs(dir) end
      assert %{code: :log_refused, details: %{file: "MANIFEST"}} = error
    end

    test "no directory of a store, no file, no permission", %{tmp_dir: tmp_dir} do
      for path <- [tmp_dir, Path.join(tmp_dir, "nowhere")] do
        error = assert_raise Error, fn -> seqs(path) end
        assert %{code: :io, details: %{errno: :enoent}} = error
      end

      error = assert_raise Error, fn -> seqs(write(tmp_dir, String.duplicate("text ", 100))) end
      assert error.message =~ "not a file of a term log"
      error = assert_raise Error, fn -> seqs(write(tmp_dir, header(:log, major: 2))) end
      assert error.message =~ "format 2"
      assert seqs(write(tmp_dir, header(:log, minor: 3, reserved: 1))) == []
    end
  end

  test "info says what the headers say", %{tmp_dir: tmp_dir} do
    info = tmp_dir |> with_checkpoint() |> Log.info()
    assert %{kind: :directory, checkpoint_seq: 10, durable_seq: 11, epoch: 1} = info
    assert info.store_id == "00000000000000000000000000c0ffee"

    assert for(file <- info.files, do: {file.kind, file.first_seq}) == [
             checkpoint: 1,
             log: 11,
             log: 13
           ]

    assert info.bytes == Enum.sum(for file <- info.files, do: file.bytes)
    path = write(tmp_dir, log(5..6, epoch: 3))
    assert %{kind: :log, first_seq: 5, epoch: 3} = Log.info(path)

    assert_raise Error, ~r/not a file of a term log/, fn ->
      Log.info(write(tmp_dir, <<1::4096>>))
    end
  end

  ## Helpers

  defp with_checkpoint(tmp_dir) do
    directory(
      Path.join(tmp_dir, "store"),
      [
        {checkpoint_name(10), checkpoint(10, Enum.to_list(1..10))},
        {segment_name(11), log(11..12)},
        {segment_name(13), log(13..14)}
      ],
      checkpoint: 10,
      durable: 11
    )
  end

  defp write(tmp_dir, bytes) do
    path = Path.join(tmp_dir, "log-#{System.unique_integer([:positive])}")
    File.write!(path, bytes)
    path
  end

  defp seqs(path, options \\ []), do: for(r <- Log.stream!(path, options), do: r.seq)
  defp take(path, count), do: path |> Log.stream!() |> Enum.take(count)

  # All records that are given out, and the error that follows.
  defp read(path) do
    test = self()
    ref = make_ref()

    error =
      try do
        Enum.each(Log.stream!(path), &send(test, {ref, {&1.seq, &1.op}}))
        nil
      rescue
        error in Error -> error
      end

    {received(ref), error}
  end

  defp received(ref) do
    receive do
      {^ref, record} -> [record | received(ref)]
    after
      0 -> []
    end
  end

  defp flip(bytes, at, bit \\ 4) do
    <<before::binary-size(at), byte, rest::binary>> = IO.iodata_to_binary(bytes)
    <<before::binary, Bitwise.bxor(byte, Bitwise.bsl(1, bit)), rest::binary>>
  end
end
