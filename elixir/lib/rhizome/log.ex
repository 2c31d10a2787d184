defmodule Rhizome.Log do
  @moduledoc """
  Reads the files of a store without its daemon: every mutation that it remembers.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir)
      iex> owns = Rhizome.create_table!(store, :owns, :one_to_many)
      iex> Rhizome.put!(owns, :ann, :sword)
      iex> Rhizome.stop(store)
      iex> for %{type: :mutation} = record <- Rhizome.Log.stream!(dir) do
      ...>   {record.seq, record.op}
      ...> end
      [
        {1, {:create_table, :owns, :one_to_many, %{}}},
        {2, {:insert, :owns, :fwd, {:ann, :sword}}}
      ]

  A file is a header and records, a record is a header with checksums and one
  external term, so `binary_to_term/1` and a binary pattern are all that it takes:
  this module is written from the description of the format alone and shares
  nothing with the daemon. It may read while a store is running, and sees what
  had been written until then.

  `rhizome log`, `rhizome check` and `rhizome replay` do the same from a shell.

  ## Damage

  Every checksum is checked. What a crash has left at the end of a log, a *torn
  tail*, ends the stream, as the daemon cuts it; `torn: :raise` raises. Damage
  anywhere else raises a `Rhizome.Error` with the code `:log_refused`, whose
  details say in which `:file`, at which `:offset`, behind which mutation (`:seq`)
  and, where it is known, which ones are missing. All that came before has been
  returned by then. A file that cannot be read raises `:io`.

  A torn tail is told from damage as the daemon tells it: mutations that are said
  to have been on the disk, by a later record or by the manifest, cannot have been
  torn off by a crash. Single files are judged by what is in them alone.
  """

  alias Rhizome.{Directories, Error, Options}
  alias Rhizome.Log.{Format, Reader, Record}

  # A checkpoint may replace files between the manifest and the next open.
  @attempts 5

  @doc """
  A lazy stream of the `Rhizome.Log.Record`s of `path`: a store's directory, of
  which it reads the checkpoint and then the log; or a single file of one.

  It takes little memory whatever the size of the files is. They are opened when
  the stream is, and closed when it ends or is left.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir)
      iex> primes = Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.insert_all!(primes, [2, 3, 5])
      iex> Rhizome.checkpoint!(store)
      iex> Rhizome.Log.stream!(dir) |> Enum.map(& &1.op) |> Enum.at(2)
      {:load, :primes, :fwd, [2, 3, 5]}

  ## Options

  #{Options.docs(:log)}
  """
  @spec stream!(Path.t(), keyword()) :: Enumerable.t()
  def stream!(path, options \\ []) do
    options = Options.validate!(options, :log)
    path = IO.chardata_to_string(path)
    Stream.resource(fn -> open!(path, options) end, &step/1, &close/1)
  end

  @doc """
  What the headers of `path` say, without reading on: a map of `:kind`
  (`:directory`, `:log`, `:checkpoint` or `:manifest`), `:store_id`, `:epoch` (how
  many times the store had been opened) and `:bytes`.

  Of a log there is also its `:first_seq`; of a directory `:checkpoint_seq` (or
  `nil`), `:durable_seq` and `:files`, a list of such maps with a `:file` each. Raises
  what `stream!/2` does.

      iex> dir = Path.join(System.tmp_dir!(), "rhizome-\#{System.os_time()}")
      iex> {:ok, store} = Rhizome.start_link(dir: dir)
      iex> Rhizome.create_table!(store, :primes, :set)
      iex> Rhizome.stop(store)
      iex> info = Rhizome.Log.info(dir)
      iex> {info.kind, info.checkpoint_seq, info.epoch}
      {:directory, nil, 1}
      iex> for file <- info.files, do: {file.file, file.kind, file.first_seq}
      [{"log-0000000000000001.tlg", :log, 1}]

  """
  @spec info(Path.t()) :: map()
  def info(path) do
    path = IO.chardata_to_string(path)

    if File.dir?(path) do
      {manifest, files} = open_directory!(path, true)
      described = Enum.map(files, &describe/1)
      Enum.each(files, &Reader.close/1)

      %{
        kind: :directory,
        store_id: hex(manifest.store_id),
        epoch: manifest.epoch,
        checkpoint_seq: manifest.checkpoint,
        durable_seq: manifest.durable,
        files: described,
        bytes: Enum.sum(for file <- described, do: file.bytes)
      }
    else
      file = Reader.open!(path)

      try do
        describe(file)
      after
        Reader.close(file)
      end
    end
  end

  @doc """
  Forgets what this VM knows to have been acknowledged by the store in `dir`, so
  that its next start takes what it finds there.

  For a log that was refused because it ends before the last acknowledged
  mutation, or because it is another store's, when it is settled that nothing
  better can be had. A new VM knows nothing of it, either. A store that is at work
  in `dir` goes on, and what it acknowledges from then on is remembered again.

      iex> Rhizome.Log.forget("data/that/was/repaired")
      :ok

  """
  @spec forget(Path.t()) :: :ok
  def forget(dir), do: dir |> Path.expand() |> Directories.forget_all()

  ## Opening

  defp open!(path, options) do
    if File.dir?(path) do
      {manifest, files} = open_directory!(path, options.checkpoint)

      walk(options, files, %{
        directory?: true,
        store_id: manifest.store_id,
        seq: manifest.checkpoint || 0,
        checkpoint: manifest.checkpoint,
        durable: manifest.durable
      })
    else
      walk(options, [Reader.open!(path)], %{})
    end
  end

  # What the daemon would start from: the manifest's files, and segments that
  # are newer than it. Files that are open do not go away.
  defp open_directory!(dir, checkpoint?, attempts \\ @attempts) do
    manifest = manifest!(dir)
    names = names!(dir, manifest, checkpoint?)

    case open_all(Enum.map(names, &Path.join(dir, &1)), []) do
      {:ok, files} ->
        {manifest, files}

      {:error, error} ->
        if attempts > 1 and manifest!(dir) != manifest,
          do: open_directory!(dir, checkpoint?, attempts - 1),
          else: raise(error)
    end
  end

  defp names!(dir, manifest, checkpoint?) do
    listed = manifest.segments
    newest = List.last(listed) || manifest.checkpoint || 0

    newer =
      for name <- ls!(dir), {:ok, first} <- [Format.segment_seq(name)], first > newest, do: first

    segments = Enum.map(listed ++ Enum.sort(newer), &Format.segment_name/1)

    if checkpoint? and manifest.checkpoint,
      do: [Format.checkpoint_name(manifest.checkpoint) | segments],
      else: segments
  end

  defp ls!(dir) do
    case File.ls(dir) do
      {:ok, names} -> names
      {:error, reason} -> raise Reader.io_error(dir, reason)
    end
  end

  defp open_all([], files), do: {:ok, Enum.reverse(files)}

  defp open_all([path | paths], files) do
    case Reader.open(path) do
      {:ok, file} ->
        open_all(paths, [file | files])

      {:error, error} ->
        Enum.each(files, &Reader.close/1)

        if error.details.errno == :enoent do
          message = "#{path} is missing; the manifest lists it"
          details = %{file: Path.basename(path), offset: 0, reason: :damaged}
          {:error, Error.new(:log_refused, message, details)}
        else
          {:error, error}
        end
    end
  end

  # Whatever is wrong with a manifest is damage: it is replaced as a whole.
  defp manifest!(dir) do
    file = Reader.open!(Path.join(dir, Format.manifest_name()))

    try do
      store_id = manifest_store!(file)
      {payload, rest} = manifest_record!(file, Reader.next(file))
      if not match?({:end, _file}, Reader.next(rest)), do: no_manifest!(rest)

      case Format.term(payload, :manifest, :existing) do
        {:ok, {:manifest, fields}} ->
          checkpoint = if fields.checkpoint == :none, do: nil, else: fields.checkpoint
          Map.merge(fields, %{store_id: store_id, checkpoint: checkpoint})

        {:error, why} ->
          damaged!(file, file.offset, why)
      end
    after
      Reader.close(file)
    end
  end

  defp manifest_store!(%{header: {:ok, %{kind: :manifest} = header}}), do: header.store_id
  defp manifest_store!(%{header: {:ok, _header}} = file), do: no_manifest!(file)
  defp manifest_store!(%{header: {:error, why}} = file), do: damaged!(file, 0, why)

  defp manifest_record!(file, {:bad, why, _file}), do: damaged!(file, file.offset, why)
  defp manifest_record!(file, {:end, _file}), do: no_manifest!(file)

  defp manifest_record!(file, {:record, {header, payload, _offset}, rest}) do
    if header.seq == 1 and Format.type(:manifest, header.type) == {:ok, :manifest},
      do: {payload, rest},
      else: no_manifest!(file)
  end

  @spec no_manifest!(Reader.t()) :: no_return()
  defp no_manifest!(file),
    do: damaged!(file, file.offset, "this is not the one record of a manifest")

  defp describe(%{header: {:ok, header}} = file) do
    %{
      file: file.name,
      kind: header.kind,
      store_id: hex(header.store_id),
      epoch: header.epoch,
      first_seq: header.first_seq,
      bytes: Reader.size!(file)
    }
  end

  defp describe(%{header: {:error, why}} = file), do: damaged!(file, 0, why)

  defp hex(bytes), do: Base.encode16(bytes, case: :lower)

  ## The walk

  # One file after another. The last mutation that was read and the highest one
  # that anything claims to have been durable tell a torn tail from damage.
  defp walk(options, files, known) do
    Map.merge(
      %{
        atoms: options.atoms,
        torn: options.torn,
        files: files,
        # of the file that is being read, nil between two: what it is, the seq
        # and the type of its last record
        kind: nil,
        position: nil,
        previous: nil,
        # of the logs before it: the last one's epoch, name and end
        epoch: 0,
        last: nil,
        # known from a directory, or from the first file
        directory?: false,
        store_id: nil,
        checkpoint: nil,
        seq: nil,
        durable: 0
      },
      known
    )
  end

  defp close(walk), do: Enum.each(walk.files, &Reader.close/1)

  defp step(%{files: []} = walk), do: {:halt, walk}
  defp step(%{kind: nil, files: [file | _rest]} = walk), do: begin(file, walk)

  defp step(%{files: [file | rest]} = walk) do
    case Reader.next(file) do
      {:record, raw, next} -> record(raw, file, %{walk | files: [next | rest]})
      {:end, file} -> finish(file, walk)
      {:bad, why, file} -> fault(file, why, walk)
    end
  end

  ## The beginning of a file

  defp begin(%{header: {:error, why}} = file, walk) do
    if walk.directory? and segment?(file),
      do: fault(Reader.rewind(file), why, walk),
      else: damaged!(file, 0, why)
  end

  defp begin(%{header: {:ok, header}} = file, walk) do
    walk = %{walk | kind: header.kind}

    cond do
      walk.store_id not in [nil, header.store_id] ->
        damaged!(file, 0, "the file is one of another store")

      walk.directory? and header.kind == :log != segment?(file) ->
        damaged!(file, 0, "the file is a #{header.kind}, which its name denies")

      header.kind != :log ->
        {[], %{walk | store_id: header.store_id, position: 0}}

      header.epoch < walk.epoch or header.first_seq == 0 ->
        damaged!(file, 0, "the file does not belong behind the one before it")

      true ->
        begin_log(file, header.first_seq, %{
          walk
          | store_id: header.store_id,
            epoch: header.epoch
        })
    end
  end

  defp segment?(file), do: match?({:ok, _first}, Format.segment_seq(file.name))

  # The first log may begin with what the checkpoint has already.
  defp begin_log(file, first, walk) do
    follows? =
      cond do
        walk.last -> first == walk.position + 1
        walk.seq -> first <= walk.seq + 1
        true -> true
      end

    if follows? do
      {[], %{walk | position: first - 1, seq: walk.seq || first - 1}}
    else
      fault(
        Reader.rewind(file),
        "#{file.name} begins with mutation #{first}, behind #{walk.seq}",
        walk
      )
    end
  end

  ## The end of a file

  defp finish(%{name: name} = file, %{kind: kind, files: [_file | rest]} = walk) do
    if kind == :checkpoint and walk.previous != :checkpoint_end do
      damaged!(file, file.offset, "the checkpoint ends before its last record")
    end

    if kind == :log and rest == [] and walk.durable > walk.seq do
      refused!(file, name, file.offset, "the log ends here", walk, walk.durable, %{})
    end

    Reader.close(file)
    last = if kind == :log, do: {name, file.offset}, else: walk.last
    {[], %{walk | files: rest, kind: nil, previous: nil, last: last}}
  end

  ## A record

  defp record({header, _payload, offset} = raw, file, walk) do
    case Format.type(walk.kind, header.type) do
      {:ok, type} ->
        case in_order(walk.kind, type, header, walk) do
          :ok -> {news(decode!(raw, type, file, walk), walk), note(walk, type, header)}
          {:gap, why} -> fault(file, why, walk)
          {:error, why} -> damaged!(file, offset, why)
        end

      :error ->
        damaged!(file, offset, "this library knows no records of type #{header.type} here")
    end
  end

  defp decode!({header, payload, offset}, type, file, walk) do
    case Format.term(payload, type, walk.atoms) do
      {:ok, op} ->
        %Record{
          seq: header.seq,
          type: type,
          op: op,
          file: file.name,
          offset: offset,
          bytes: Format.record_header_bytes() + header.size,
          durable_seq: header.durable
        }

      {:error, why} ->
        damaged!(file, offset, why)
    end
  end

  defp in_order(:log, _type, _header, %{previous: previous}) when previous in [:close, :roll] do
    {:error, "a record follows one of type #{previous}"}
  end

  defp in_order(:log, :mutation, %{seq: seq}, walk) when seq != walk.position + 1 do
    {:gap, "mutation #{seq} follows #{walk.position}"}
  end

  defp in_order(:log, type, %{seq: seq}, walk) when type != :mutation and seq != walk.position do
    {:gap, "a record of type #{type} at mutation #{seq} follows #{walk.position}"}
  end

  defp in_order(:checkpoint, type, header, walk) do
    if header.seq == walk.position + 1 and type == :checkpoint == (walk.previous == nil) and
         walk.previous != :checkpoint_end,
       do: :ok,
       else: {:error, "a record of a checkpoint is missing or out of place"}
  end

  defp in_order(_kind, _type, _header, _walk), do: :ok

  # Mutations that the checkpoint has already are not given out again.
  defp news(%Record{seq: seq, type: type}, %{kind: :log, checkpoint: checkpoint})
       when is_integer(checkpoint) and
              (seq < checkpoint or (seq == checkpoint and type == :mutation)),
       do: []

  defp news(record, _walk), do: [record]

  defp note(%{kind: :log} = walk, type, header) do
    %{
      walk
      | previous: type,
        position: header.seq,
        seq: max(walk.seq, header.seq),
        durable: max(walk.durable, header.durable)
    }
  end

  defp note(walk, type, header), do: %{walk | previous: type, position: header.seq}

  ## Faults

  # Bytes that are no record, or not the next one, at the place of `file`.
  # In a log a crash may have left them there, unless something proves that
  # there were durable mutations behind.
  defp fault(file, why, %{kind: kind}) when kind in [:checkpoint, :manifest] do
    damaged!(file, file.offset, why)
  end

  defp fault(file, why, walk) do
    {name, offset} = place(file, walk)

    cond do
      walk.previous in [:close, :roll] ->
        damaged!(file, file.offset, "something follows a record of type #{walk.previous}")

      walk.durable > walk.seq ->
        refused!(file, name, offset, why, walk, walk.durable, %{})

      proof = proof(file, walk) ->
        {proof_file, proof_offset, durable} = proof
        details = %{proof_file: proof_file, proof_offset: proof_offset}
        refused!(file, name, offset, why, walk, durable, details)

      walk.torn == :raise ->
        raise refused(file, name, offset, "#{why}; a crash has torn the log", %{
                seq: walk.seq,
                reason: :torn
              })

      true ->
        {:halt, walk}
    end
  end

  # Of a file that does not begin as it should: where the log ended before.
  defp place(%{offset: offset} = file, walk) do
    if offset == 0 and walk.last, do: walk.last, else: {file.name, offset}
  end

  defp proof(file, %{files: [_file | rest]} = walk) do
    owner = {:ok, %{store_id: walk.store_id}}

    Enum.find_value([file | Enum.map(rest, &Reader.rewind/1)], fn file ->
      with {offset, durable} <- file |> Reader.with_store(owner) |> Reader.proof(walk.seq) do
        {file.name, offset, durable}
      end
    end)
  end

  defp refused!(file, name, offset, why, walk, durable, details) do
    from = walk.seq + 1
    why = "#{why}; mutations #{from} to #{durable} were on the disk and are damaged or missing"

    details =
      Map.merge(details, %{
        seq: walk.seq,
        missing_from: from,
        missing_to: durable,
        reason: :damaged
      })

    raise refused(file, name, offset, why, details)
  end

  @spec damaged!(Reader.t(), non_neg_integer(), String.t()) :: no_return()
  defp damaged!(file, offset, why) do
    raise refused(file, file.name, offset, why, %{reason: :damaged})
  end

  defp refused(file, name, offset, why, details) do
    path = Path.join(Path.dirname(file.path), name)
    details = Map.merge(details, %{file: name, offset: offset})
    Error.new(:log_refused, "#{path}, offset #{offset}: #{why}", details)
  end
end
